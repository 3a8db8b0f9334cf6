// Where the labels of a scatter chart go: beside their points, inside the plot, and not over one
// another.
#pragma once

#include <optional>
#include <vector>

namespace qtk::report {

struct Point {
  double x = 0, y = 0;  // y grows downwards, as in SVG
};

struct Box {
  double left = 0, top = 0, right = 0, bottom = 0;

  /// Area shared with `other`.
  double overlap(const Box& other) const;
  bool holds(const Box& other) const;
};

struct Label {
  Point anchor;  // the point it names
  double width = 0, height = 0;
};

struct PlacedLabel {
  Box box;
  bool needs_leader = false;  // far enough from its point that a line should join them
};

/// What labels keep away from.
struct Obstacles {
  std::vector<Box> markers;  // never covered
  std::vector<Box> lines;    // crossed only where no free position is near
};

/// Places labels one after the other, each at the nearest free position around its point within
/// `area`.
/// @return one entry a label; empty where no position was found
std::vector<std::optional<PlacedLabel>> place_labels(const std::vector<Label>& labels,
                                                     const Box& area, const Obstacles& obstacles);

}  // namespace qtk::report
