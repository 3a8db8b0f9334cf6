#include "report/label_placement.hpp"

#include <algorithm>
#include <array>

namespace qtk::report {
namespace {

constexpr double kFirstDistance = 9;
constexpr double kDistanceStep = 8;
constexpr int kNumRings = 8;
constexpr int kNumNearRings =
    3;  // within these a label is read as its point's without a line to it

/// Directions in order of preference: right, left, above, below, then the corners.
constexpr std::array<Point, 8> kDirections = {
    {{1, 0}, {-1, 0}, {0, -1}, {0, 1}, {0.8, -0.8}, {0.8, 0.8}, {-0.8, -0.8}, {-0.8, 0.8}}};

Box candidate(const Label& label, const Point& direction, double distance) {
  // The box touches the circle of that radius with the side or corner that faces the point.
  const auto side = [](double part) { return part > 0 ? 0.0 : part < 0 ? -1.0 : -0.5; };
  const double left = label.anchor.x + direction.x * distance + side(direction.x) * label.width;
  const double top = label.anchor.y + direction.y * distance + side(direction.y) * label.height;
  return {left, top, left + label.width, top + label.height};
}

std::optional<PlacedLabel> place(const Label& label, const Box& area, const std::vector<Box>& taken,
                                 int num_rings) {
  for (int ring = 0; ring < num_rings; ++ring) {
    for (const auto& direction : kDirections) {
      const auto box = candidate(label, direction, kFirstDistance + ring * kDistanceStep);
      const auto is_free = std::none_of(taken.begin(), taken.end(),
                                        [&](const Box& b) { return b.overlap(box) > 0; });
      if (area.holds(box) && is_free) return PlacedLabel{box, ring >= kNumNearRings};
    }
  }
  return std::nullopt;
}

}  // namespace

double Box::overlap(const Box& other) const {
  const double width = std::min(right, other.right) - std::max(left, other.left);
  const double height = std::min(bottom, other.bottom) - std::max(top, other.top);
  return width > 0 && height > 0 ? width * height : 0;
}

bool Box::holds(const Box& other) const {
  return other.left >= left && other.right <= right && other.top >= top && other.bottom <= bottom;
}

std::vector<std::optional<PlacedLabel>> place_labels(const std::vector<Label>& labels,
                                                     const Box& area, const Obstacles& obstacles) {
  auto taken = obstacles.markers;
  auto taken_or_crossed = taken;
  taken_or_crossed.insert(taken_or_crossed.end(), obstacles.lines.begin(), obstacles.lines.end());
  std::vector<std::optional<PlacedLabel>> placed;
  placed.reserve(labels.size());
  for (const auto& label : labels) {
    auto position = place(label, area, taken_or_crossed, kNumNearRings);
    if (!position) position = place(label, area, taken, kNumRings);
    if (position) {
      taken.push_back(position->box);
      taken_or_crossed.push_back(position->box);
    }
    placed.push_back(position);
  }
  return placed;
}

}  // namespace qtk::report
