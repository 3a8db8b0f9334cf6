#include "report/svg.hpp"

#include "report/number.hpp"

#include <utility>

namespace qtk::report {
namespace {

constexpr size_t kNumColours = 6;
constexpr double kMarkerRadius = 5.5;

const char* anchor_name(Anchor anchor) {
  return anchor == Anchor::kStart ? "start" : anchor == Anchor::kEnd ? "end" : "middle";
}

/// True inside a UTF-8 sequence.
bool continues_character(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

std::string at(double x, double y) { return coordinate(x) + " " + coordinate(y); }

/// Circle, square, triangle, diamond, triangle down, in turn; of about equal area.
std::string marker_path(Point p, size_t shape) {
  const double r = kMarkerRadius;
  const auto point = [&](double x, double y) { return at(p.x + x * r, p.y + y * r); };
  switch (shape) {
    case 0:
      return "M" + point(-1, 0) + "a" + at(r, r) + " 0 1 0 " + at(2 * r, 0) + "a" + at(r, r) +
             " 0 1 0 " + at(-2 * r, 0) + "z";
    case 1:
      return "M" + point(-0.9, -0.9) + "L" + point(0.9, -0.9) + "L" + point(0.9, 0.9) + "L" +
             point(-0.9, 0.9) + "z";
    case 2:
      return "M" + point(0, -1.15) + "L" + point(1.15, 0.85) + "L" + point(-1.15, 0.85) + "z";
    case 3:
      return "M" + point(0, -1.25) + "L" + point(1.25, 0) + "L" + point(0, 1.25) + "L" +
             point(-1.25, 0) + "z";
    default:
      return "M" + point(0, 1.15) + "L" + point(1.15, -0.85) + "L" + point(-1.15, -0.85) + "z";
  }
}

}  // namespace

std::string coordinate(double value) { return trimmed(value, 2); }

double text_width(std::string_view content, double size) {
  double width = 0;
  for (const char c : content) {
    if (continues_character(c)) continue;
    const bool is_narrow = std::string_view("ijl.,:;|!'()[]ftI ").find(c) != std::string_view::npos;
    const bool is_wide = std::string_view("mwMW%@").find(c) != std::string_view::npos;
    width += is_narrow ? 0.4 : is_wide ? 0.95 : 0.64;
  }
  return width * size;
}

std::string shortened(std::string_view name, size_t most) {
  size_t characters = 0;
  size_t kept = 0;  // bytes of all characters but the last that fit
  for (size_t i = 0; i < name.size(); ++i) {
    if (continues_character(name[i])) continue;
    if (++characters == most) kept = i;
    if (characters > most) return std::string(name.substr(0, kept)) + "\u2026";
  }
  return std::string(name);
}

std::string fitted(std::string_view name, double size, double width) {
  std::string part(name);
  for (size_t most = name.size(); text_width(part, size) > width && most > 2;) {
    part = shortened(name, --most);
  }
  return part;
}

std::string series_class(size_t index) {
  return index == 0 ? "s0" : "s" + std::to_string((index - 1) % kNumColours + 1);
}

void Drawing::line(Point from, Point to, std::string_view css) {
  path("M" + at(from.x, from.y) + "L" + at(to.x, to.y), css);
}

void Drawing::path(const std::string& data, std::string_view css) {
  add(empty_element("path", {{"class", std::string(css)}, {"d", data}}));
}

void Drawing::polyline(const std::vector<Point>& points, std::string_view css,
                       std::string_view tooltip) {
  std::string listed;
  for (const auto& point : points)
    listed += (listed.empty() ? "" : " ") + coordinate(point.x) + "," + coordinate(point.y);
  add(element("polyline", {{"class", std::string(css)}, {"points", listed}},
              element("title", {}, tooltip)));
}

void Drawing::rectangle(const Box& box, std::string_view css) {
  add(empty_element("rect", {{"class", std::string(css)},
                             {"x", coordinate(box.left)},
                             {"y", coordinate(box.top)},
                             {"width", coordinate(box.right - box.left)},
                             {"height", coordinate(box.bottom - box.top)}}));
}

void Drawing::label(Point at, Anchor anchor, std::string_view content, std::string_view css) {
  add(element("text",
              {{"class", std::string(css)},
               {"x", coordinate(at.x)},
               {"y", coordinate(at.y)},
               {"text-anchor", anchor_name(anchor)}},
              content));
}

void Drawing::bar(const Box& box, double hover_top, std::string_view tooltip) {
  const auto upright = [&](double top) {
    return "M" + at(box.left, box.bottom) + "V" + coordinate(top) + "H" + coordinate(box.right) +
           "V" + coordinate(box.bottom) + "z";
  };
  add(element("g", {},
              element("title", {}, tooltip) + empty_element("path", {{"d", upright(box.top)}}) +
                  empty_element("path", {{"class", "hit"}, {"d", upright(hover_top)}})));
}

void Drawing::marker(Point at, size_t index, std::string_view tooltip) {
  const auto shape = index == 0 ? 0 : (index - 1) % 5;
  add(element("path", {{"class", "marker " + series_class(index)}, {"d", marker_path(at, shape)}},
              element("title", {}, tooltip)));
}

Markup Drawing::take() { return std::exchange(shapes_, {}); }

Markup Drawing::finish(const Caption& caption, std::string_view css) const {
  const auto title_id = caption.id + "-title", description_id = caption.id + "-desc";
  return element("svg",
                 {{"class", std::string(css)},
                  {"viewBox", "0 0 " + at(width_, height_)},
                  {"role", "img"},
                  {"aria-labelledby", title_id + " " + description_id}},
                 element("title", {{"id", title_id}}, caption.title) +
                     element("desc", {{"id", description_id}}, caption.description) + shapes_);
}

void draw_y_axis(Drawing& drawing, const PlotFrame& frame) {
  for (const double tick : frame.y.ticks()) {
    const double y = frame.at_y(tick);
    drawing.line({frame.box.left, y}, {frame.box.right, y}, "grid");
    drawing.label({frame.box.left - 5, y + 3.5}, Anchor::kEnd, frame.y.label(tick), "tick");
  }
}

void draw_x_axis(Drawing& drawing, const PlotFrame& frame) {
  const auto& box = frame.box;
  drawing.line({box.left, box.bottom}, {box.right, box.bottom}, "axis");
  for (const double tick : frame.x.ticks()) {
    const double x = frame.at_x(tick);
    drawing.line({x, box.bottom}, {x, box.bottom + 4}, "axis");
    drawing.label({x, box.bottom + 16}, Anchor::kMiddle, frame.x.label(tick), "tick");
  }
}

}  // namespace qtk::report
