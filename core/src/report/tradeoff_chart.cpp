#include "report/tradeoff_chart.hpp"

#include "report/number.hpp"
#include "report/svg.hpp"
#include "report/tradeoff.hpp"

#include <algorithm>
#include <utility>

namespace qtk::report {
namespace {

constexpr double kTradeoffWidth = 440, kTradeoffHeight = 310;
constexpr Box kTradeoffPlot = {44, 34, 428, 262};
constexpr double kLabelSize = 13;
constexpr size_t kLongestName = 24;
constexpr size_t kMostLabels = 12;

PlotFrame frame_of(const TradeoffChart& chart) {
  std::vector<double> sizes, values;
  for (const auto& mark : chart.marks) {
    sizes.push_back(mark.size);
    values.insert(values.end(), {mark.value, mark.value + mark.standard_error});
    if (mark.value > mark.standard_error) values.push_back(mark.value - mark.standard_error);
  }
  return {kTradeoffPlot, Axis::around(sizes, {.num_ticks = 7, .air = 0.15}),
          Axis::around(values, {.num_ticks = 7, .air = 0.08})};
}

Point place_of(const Mark& mark, const PlotFrame& frame) {
  return {frame.at_x(mark.size), frame.at_y(mark.value)};
}

void draw_reference(Drawing& drawing, const PlotFrame& frame, double base, double tolerance) {
  const double y = frame.at_y(base);
  const double top = std::max(frame.at_y(base * (1 + tolerance)), frame.box.top);
  drawing.rectangle({frame.box.left, std::min(top, y), frame.box.right, y}, "band");
  drawing.line({frame.box.left, y}, {frame.box.right, y}, "reference");
}

/// The corners of the steps that the best value makes as the size grows: right to the next size,
/// then down to its value.
std::vector<Point> steps_of(const TradeoffChart& chart, const PlotFrame& frame) {
  std::vector<Point> corners;
  for (const auto& mark : pareto_front(chart.marks)) {
    const auto place = place_of(mark, frame);
    if (!corners.empty()) corners.push_back({place.x, corners.back().y});
    corners.push_back(place);
  }
  corners.push_back({frame.box.right, corners.back().y});
  return corners;
}

void draw_steps(Drawing& drawing, const std::vector<Point>& corners) {
  std::string path;
  for (const auto& corner : corners) {
    path.append(path.empty() ? "M" : "L").append(coordinate(corner.x)).append(" ");
    path.append(coordinate(corner.y));
  }
  drawing.path(path, "front");
}

std::string label_text(const Mark& mark) {
  return shortened(mark.name, kLongestName) + " " + significant(mark.value, 3);
}

Obstacles obstacles_of(const TradeoffChart& chart, const PlotFrame& frame,
                       const std::vector<Point>& steps) {
  constexpr double kMarker = 6, kLine = 1;
  Obstacles obstacles;
  for (const auto& mark : chart.marks) {
    const auto p = place_of(mark, frame);
    obstacles.markers.push_back({p.x - kMarker, p.y - kMarker, p.x + kMarker, p.y + kMarker});
  }
  for (size_t i = 1; i < steps.size(); ++i) {
    const auto [left, right] = std::minmax(steps[i - 1].x, steps[i].x);
    const auto [top, bottom] = std::minmax(steps[i - 1].y, steps[i].y);
    obstacles.lines.push_back({left - kLine, top - kLine, right + kLine, bottom + kLine});
  }
  if (chart.base) {
    const double y = frame.at_y(*chart.base);
    obstacles.lines.push_back({frame.box.left, y - kLine, frame.box.right, y + kLine});
  }
  return obstacles;
}

void draw_label(Drawing& drawing, const Label& label, const PlacedLabel& placed,
                std::string_view content) {
  const auto& [box, needs_leader] = placed;
  const auto point = label.anchor;
  const double middle = (box.left + box.right) / 2;
  if (needs_leader) {
    drawing.line(point, {middle, box.top > point.y ? box.top : box.bottom}, "leader");
  }
  // Set towards the point, so that a width estimated too large leaves no gap there.
  const double baseline = box.bottom - 3.5;
  if (box.left >= point.x) {
    drawing.label({box.left, baseline}, Anchor::kStart, content, "point");
  } else if (box.right <= point.x) {
    drawing.label({box.right, baseline}, Anchor::kEnd, content, "point");
  } else {
    drawing.label({middle, baseline}, Anchor::kMiddle, content, "point");
  }
}

/// With many models only those on the steps are named, lest labels hide the points.
std::vector<Mark> marks_to_label(const TradeoffChart& chart) {
  return chart.marks.size() <= kMostLabels ? chart.marks : pareto_front(chart.marks);
}

/// @return how many points have no label
size_t draw_labels(Drawing& drawing, const TradeoffChart& chart, const PlotFrame& frame,
                   const Obstacles& obstacles) {
  const auto marks = marks_to_label(chart);
  const bool is_crowded = chart.marks.size() > kMostLabels;
  std::vector<Label> labels;
  for (const auto& mark : marks) {
    const double width = text_width(label_text(mark), kLabelSize);
    labels.push_back({place_of(mark, frame), width, kLabelSize + 2});
  }
  const Box area = {frame.box.left, frame.box.top - 12, kTradeoffWidth, frame.box.bottom - 2};
  const auto placed = place_labels(labels, area, obstacles);
  size_t num_labelled = 0;
  for (size_t i = 0; i < labels.size(); ++i) {
    if (!placed[i] || (is_crowded && placed[i]->needs_leader)) continue;
    draw_label(drawing, labels[i], *placed[i], label_text(marks[i]));
    ++num_labelled;
  }
  return chart.marks.size() - num_labelled;
}

void draw_whisker(Drawing& drawing, const PlotFrame& frame, const Mark& mark) {
  const double x = frame.at_x(mark.size);
  const bool ends_in_plot = !frame.y.is_log() || mark.value > mark.standard_error;
  const double low = ends_in_plot ? frame.at_y(mark.value - mark.standard_error) : frame.box.bottom;
  drawing.line({x, std::min(low, frame.box.bottom)},
               {x, frame.at_y(mark.value + mark.standard_error)},
               "whisker " + series_class(mark.index));
}

void draw_marks(Drawing& drawing, const TradeoffChart& chart, const PlotFrame& frame) {
  for (const auto& mark : chart.marks) {
    auto tooltip = mark.name + ": " + exact(mark.size) + " " + chart.unit + ", " + chart.quantity +
                   " " + exact(mark.value);
    if (mark.standard_error > 0) {
      tooltip += " \u00b1 " + exact(mark.standard_error);
      draw_whisker(drawing, frame, mark);
    }
    drawing.marker(place_of(mark, frame), mark.index, tooltip);
  }
}

std::string axis_remark(const Axis& axis) {
  if (axis.is_log()) return " (log scale)";
  return axis.low() > 0 ? " (axis does not start at 0)" : "";
}

std::string description(const TradeoffChart& chart) {
  std::string listed;
  for (const auto& mark : chart.marks) {
    listed += (listed.empty() ? "" : "; ") + mark.name + " " + significant(mark.size, 4) + " " +
              chart.unit + ", " + significant(mark.value, 4);
  }
  return "Each point is one model: " + listed + ".";
}

Markup figure_caption(const TradeoffChart& chart, size_t num_unlabelled) {
  const auto protocol = element("code", {}, protocol_name(chart.protocol));
  std::string remarks = ".";
  if (!chart.marks.empty()) {
    remarks += " Lower left is better; the steps trace the best value reached up to each size.";
  }
  if (chart.base) {
    remarks += " Dashed: base model; band: up to " + trimmed(100 * chart.tolerance, 2) +
               "\u00a0% above it.";
  }
  const auto has_error = [](const Mark& mark) { return mark.standard_error > 0; };
  if (std::any_of(chart.marks.begin(), chart.marks.end(), has_error)) {
    remarks += " Whiskers: one standard error.";
  }
  if (num_unlabelled > 0) {
    remarks +=
        " Without a label, for want of room: " + std::to_string(num_unlabelled) + "\u00a0models.";
  }
  for (const auto& model : chart.left_out) remarks += " Not drawn: " + model + ".";
  return element("figcaption", {},
                 element("b", {}, chart.title) + text(", ") + protocol + text(remarks));
}

}  // namespace

std::vector<Mark> pareto_front(std::vector<Mark> marks) {
  std::stable_sort(marks.begin(), marks.end(), [](const Mark& a, const Mark& b) {
    return std::pair(a.size, a.value) < std::pair(b.size, b.value);
  });
  std::vector<Mark> front;
  for (auto& mark : marks) {
    if (front.empty() || mark.value < front.back().value) front.push_back(std::move(mark));
  }
  return front;
}

Markup tradeoff_figure(const TradeoffChart& chart) {
  if (chart.marks.empty()) return element("figure", {}, figure_caption(chart, 0));
  const auto frame = frame_of(chart);
  const auto steps = steps_of(chart, frame);
  Drawing drawing(kTradeoffWidth, kTradeoffHeight);
  if (chart.base) draw_reference(drawing, frame, *chart.base, chart.tolerance);
  draw_y_axis(drawing, frame);
  draw_x_axis(drawing, frame);
  drawing.label({4, 16}, Anchor::kStart, chart.quantity + axis_remark(frame.y), "title");
  drawing.label({frame.box.right, kTradeoffHeight - 8}, Anchor::kEnd,
                "size of all tensors, " + chart.unit + axis_remark(frame.x), "title");
  draw_steps(drawing, steps);
  const size_t num_unlabelled =
      draw_labels(drawing, chart, frame, obstacles_of(chart, frame, steps));
  draw_marks(drawing, chart, frame);
  const Caption caption{chart.id, chart.title + ", " + protocol_name(chart.protocol),
                        description(chart)};
  return element("figure", {},
                 drawing.finish(caption, "chart") + figure_caption(chart, num_unlabelled));
}

}  // namespace qtk::report
