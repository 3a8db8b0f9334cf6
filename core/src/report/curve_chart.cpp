#include "report/curve_chart.hpp"

#include "report/number.hpp"
#include "report/svg.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>

namespace qtk::report {
namespace {

constexpr double kChartWidth = 440, kChartHeight = 290;
constexpr double kLeft = 52, kRight = 428, kBottom = 246, kLegendTop = 36, kLegendLine = 17;
constexpr double kLegendSize = 12, kSample = 22, kLegendGap = 16;
constexpr size_t kMostPoints = 700;

bool is_finite(const std::pair<double, double>& point) {
  return std::isfinite(point.first) && std::isfinite(point.second);
}

struct LegendEntry {
  Point at;  // left end, on the base line
  const CurveLine* line;
};

/// Rows of entries, broken where the width ends. A single line needs no legend.
std::vector<LegendEntry> legend_of(const CurveChart& chart) {
  std::vector<LegendEntry> entries;
  if (chart.lines.size() < 2) return entries;
  Point at{kLeft, kLegendTop};
  for (const auto& line : chart.lines) {
    const double width = kSample + 5 + text_width(line.name, kLegendSize);
    if (at.x > kLeft && at.x + width > kRight) at = {kLeft, at.y + kLegendLine};
    entries.push_back({at, &line});
    at.x += width + kLegendGap;
  }
  return entries;
}

std::string css_of(const CurveLine& line) {
  return "curve " + series_class(line.colour) + " d" + std::to_string(line.dash % 4);
}

void draw_legend(Drawing& drawing, const std::vector<LegendEntry>& entries) {
  for (const auto& [at, line] : entries) {
    drawing.line({at.x, at.y - 4}, {at.x + kSample, at.y - 4}, css_of(*line));
    drawing.label({at.x + kSample + 5, at.y}, Anchor::kStart,
                  fitted(line->name, kLegendSize, kRight - at.x - kSample - 5), "key-text");
  }
}

Axis value_axis(CurveScale scale, const std::vector<double>& values) {
  const AxisLayout layout{.num_ticks = 6, .air = 0.05};
  if (scale == CurveScale::kAuto || values.empty()) return Axis::around(values, layout);
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  if (scale == CurveScale::kFromZero && *low >= 0) return Axis::from_zero(*high, layout.num_ticks);
  const double air = layout.air * (*high - *low);
  return Axis::linear(*low - air, *high + air, layout.num_ticks);
}

PlotFrame frame_of(const CurveChart& chart, double top) {
  std::vector<double> steps, values;
  for (const auto& line : chart.lines)
    for (const auto& point : line.points) {
      if (!is_finite(point)) continue;
      steps.push_back(point.first);
      values.push_back(point.second);
    }
  const auto [first, last] = std::minmax_element(steps.begin(), steps.end());
  const auto x = steps.empty() ? Axis::linear(0, 1, 6) : Axis::linear(*first, *last, 6);
  return {{kLeft, top, kRight, kBottom}, x, value_axis(chart.scale, values)};
}

/// "first 4.21, last 2.3, least 2.28, largest 4.21"
std::string extent_of(const CurveLine& line) {
  Curve finite;
  std::copy_if(line.points.begin(), line.points.end(), std::back_inserter(finite), is_finite);
  if (finite.empty()) return "no finite value";
  const auto by_value = [](const auto& a, const auto& b) { return a.second < b.second; };
  const auto [least, largest] = std::minmax_element(finite.begin(), finite.end(), by_value);
  return "first " + significant(finite.front().second, 4) + ", last " +
         significant(finite.back().second, 4) + " at step " + trimmed(finite.back().first, 2) +
         ", least " + significant(least->second, 4) + ", largest " +
         significant(largest->second, 4);
}

void draw_line(Drawing& drawing, const PlotFrame& frame, const CurveLine& line) {
  const auto tooltip = line.name + ": " + extent_of(line);
  std::vector<Point> part;
  const auto end_part = [&] {
    // A lone point would have no length; the caps of its line make a dot.
    if (part.size() == 1) part.push_back({part[0].x + 0.01, part[0].y});
    if (!part.empty())
      drawing.polyline(part, css_of(line) + (part.size() == 2 ? " lone" : ""), tooltip);
    part.clear();
  };
  for (const auto& point : thinned(line.points, kMostPoints)) {
    if (is_finite(point))
      part.push_back({frame.at_x(point.first), frame.at_y(point.second)});
    else
      end_part();
  }
  end_part();
}

std::string description(const CurveChart& chart) {
  std::string words;
  for (const auto& line : chart.lines) words += line.name + ": " + extent_of(line) + ". ";
  return words;
}

size_t num_gaps(const CurveChart& chart) {
  size_t gaps = 0;
  for (const auto& line : chart.lines)
    gaps += static_cast<size_t>(
        std::count_if(line.points.begin(), line.points.end(), std::not_fn(is_finite)));
  return gaps;
}

Markup figure_caption(const CurveChart& chart) {
  auto caption = element("b", {}, chart.title);
  if (chart.lines.size() == 1) caption += text(": " + extent_of(chart.lines.front()) + ".");
  if (const size_t gaps = num_gaps(chart); gaps > 0) {
    caption += element("span", {{"class", "bad"}},
                       " Not finite, and left out: " + std::to_string(gaps) +
                           (gaps == 1 ? " value." : " values."));
  }
  return element("figcaption", {}, caption);
}

}  // namespace

Curve thinned(const Curve& points, size_t most) {
  if (points.size() <= most || most < 2) return points;
  Curve kept;
  const size_t parts = most / 2;
  for (size_t part = 0; part < parts; ++part) {
    const auto begin = points.begin() + static_cast<ptrdiff_t>(part * points.size() / parts);
    const auto end = points.begin() + static_cast<ptrdiff_t>((part + 1) * points.size() / parts);
    auto low = end, high = end;
    for (auto p = begin; p != end; ++p) {
      if (!is_finite(*p)) {
        kept.push_back(*p);
        continue;
      }
      if (low == end || p->second < low->second) low = p;
      if (high == end || p->second > high->second) high = p;
    }
    if (low == end) continue;
    kept.push_back(*std::min(low, high));
    if (low != high) kept.push_back(*std::max(low, high));
  }
  std::stable_sort(kept.begin(), kept.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  return kept;
}

Markup curve_figure(const CurveChart& chart) {
  const auto legend = legend_of(chart);
  const auto frame = frame_of(chart, legend.empty() ? 30 : legend.back().at.y + 12);
  Drawing drawing(kChartWidth, kChartHeight);
  draw_y_axis(drawing, frame);
  draw_x_axis(drawing, frame);
  const std::string remark = frame.y.is_log()    ? " (log scale)"
                             : frame.y.low() > 0 ? " (axis does not start at 0)"
                                                 : "";
  drawing.label({4, 16}, Anchor::kStart, chart.quantity + remark, "title");
  drawing.label({kRight, kChartHeight - 8}, Anchor::kEnd, "optimizer step", "title");
  draw_legend(drawing, legend);
  for (const auto& line : chart.lines) draw_line(drawing, frame, line);
  const Caption caption{chart.id, chart.title + " over training", description(chart)};
  return element("figure", {}, drawing.finish(caption, "chart") + figure_caption(chart));
}

}  // namespace qtk::report
