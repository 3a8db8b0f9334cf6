// A small SVG drawing: lines, bars, points and text in user units, coloured by classes of the
// page's style sheet so that light and dark schemes and print share one drawing.
#pragma once

#include "report/axis.hpp"
#include "report/html.hpp"
#include "report/label_placement.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace qtk::report {

/// At most two decimals, none that are zero: "12.5".
std::string coordinate(double value);

/// Width of `content` in user units, set in the page's sans-serif at `size`. An estimate on the
/// wide side.
double text_width(std::string_view content, double size);

/// `name`, or its start and an ellipsis if it has more than `most` characters.
std::string shortened(std::string_view name, size_t most);

/// `name` shortened until it is at most `width` wide at `size`; one character at least is kept.
std::string fitted(std::string_view name, double size, double width);

/// Name and explanation for those who cannot see the drawing. `id` must be unique in the page.
struct Caption {
  std::string id;
  std::string title;
  std::string description;
};

enum class Anchor { kStart, kMiddle, kEnd };

class Drawing {
 public:
  Drawing(double width, double height) : width_(width), height_(height) {}

  void line(Point from, Point to, std::string_view css);
  void path(const std::string& data, std::string_view css);
  /// <polyline> through `points`.
  void polyline(const std::vector<Point>& points, std::string_view css, std::string_view tooltip);
  void rectangle(const Box& box, std::string_view css);
  void label(Point at, Anchor anchor, std::string_view content, std::string_view css);
  /// A bar from `box.bottom` up to `box.top` with a tooltip that answers over the whole height from
  /// `hover_top` on, so that a bar too low to be hit can be read as well.
  void bar(const Box& box, double hover_top, std::string_view tooltip);
  /// A marker whose shape and colour belong to series `index`; series 0 is the base model's ring.
  void marker(Point at, size_t index, std::string_view tooltip);
  void add(const Markup& shapes) { shapes_ += shapes; }
  /// Moves everything drawn since into a group of that class.
  Markup take();

  /// The <svg> element. It scales with the space it gets.
  Markup finish(const Caption& caption, std::string_view css) const;

 private:
  double width_, height_;
  Markup shapes_;
};

/// Class with the colour of series `index` (0: the base model).
std::string series_class(size_t index);

/// Where the plot of a chart lies in its drawing, and the axes that map values into it.
struct PlotFrame {
  Box box;
  Axis x, y;

  double at_x(double value) const { return box.left + x.fraction(value) * (box.right - box.left); }
  double at_y(double value) const {
    return box.bottom - y.fraction(value) * (box.bottom - box.top);
  }
};

/// Horizontal grid lines with their numbers to the left.
void draw_y_axis(Drawing& drawing, const PlotFrame& frame);
/// The base line with small ticks and numbers below.
void draw_x_axis(Drawing& drawing, const PlotFrame& frame);

}  // namespace qtk::report
