#include "report/number.hpp"
#include "report/sections.hpp"
#include "report/tradeoff.hpp"
#include "report/tradeoff_chart.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace qtk::report {
namespace {

int64_t largest_size(const RunReport& report) {
  int64_t largest = 0;
  for (const auto& model : report.models) largest = std::max(largest, model.tensor_bytes);
  return largest;
}

void add_mark(TradeoffChart& chart, const RunReport& report, size_t index, double value,
              double standard_error = 0) {
  const auto& model = report.models[index];
  if (model.tensor_bytes <= 0) {
    chart.left_out.push_back(model.name + " (size not known)");
  } else if (!std::isfinite(value)) {
    chart.left_out.push_back(model.name + " (" + significant(value, 4) + ")");
  } else {
    const auto unit = ByteUnit::for_sizes_up_to(largest_size(report));
    const bool has_error = std::isfinite(standard_error) && standard_error > 0;
    chart.unit = unit.decimal_name;
    chart.marks.push_back({index, model.name,
                           static_cast<double>(model.tensor_bytes) / unit.decimal, value,
                           has_error ? standard_error : 0});
  }
}

std::vector<TradeoffChart> perplexity_charts(const RunReport& report) {
  std::vector<TradeoffChart> charts;
  for (const auto& protocol : protocols_of(report)) {
    TradeoffChart chart;
    chart.id = "perplexity-" + std::to_string(charts.size());
    chart.title = "Perplexity against size";
    chart.quantity = "perplexity";
    chart.protocol = protocol;
    chart.tolerance = report.tolerance;
    for (size_t i = 0; i < report.models.size(); ++i) {
      const auto* figure = figure_of(report.models[i], protocol);
      if (figure != nullptr) add_mark(chart, report, i, figure->value, figure->standard_error);
    }
    if (!chart.marks.empty() && chart.marks.front().index == 0) {
      chart.base = chart.marks.front().value;
    }
    charts.push_back(std::move(chart));
  }
  return charts;
}

TradeoffChart& chart_of_protocol(std::vector<TradeoffChart>& charts, const std::string& protocol) {
  for (auto& chart : charts) {
    if (chart.protocol == protocol) return chart;
  }
  auto& chart = charts.emplace_back();
  chart.id = "divergence-" + std::to_string(charts.size());
  chart.title = "Divergence from the base model against size";
  chart.quantity = "mean KL divergence, nat/token";
  chart.protocol = protocol;
  return chart;
}

std::vector<TradeoffChart> divergence_charts(const RunReport& report) {
  std::vector<TradeoffChart> charts;
  for (size_t i = 0; i < report.models.size(); ++i) {
    const auto& agreement = report.models[i].agreement;
    if (!agreement) continue;
    add_mark(chart_of_protocol(charts, agreement->protocol), report, i, agreement->kl_mean);
  }
  return charts;
}

}  // namespace

Markup tradeoff_section(const RunReport& report) {
  Markup figures;
  for (const auto& chart : perplexity_charts(report)) figures += tradeoff_figure(chart);
  for (const auto& chart : divergence_charts(report)) figures += tradeoff_figure(chart);
  if (figures.empty()) {
    return section("tradeoff", "Size and quality",
                   note("Nothing was measured that could be drawn against size."));
  }
  return section("tradeoff", "Size and quality", element("div", {{"class", "charts"}}, figures));
}

}  // namespace qtk::report
