// Curves of training. Names of metrics come from the trainer and from plugins: a table says what
// belongs in one chart, and whatever it does not know gets a chart of its own.
#include "report/curve_chart.hpp"
#include "report/sections.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <utility>
#include <vector>

namespace qtk::report {
namespace {

constexpr size_t kMostCharts = 40;  // against a plugin that makes a name for every layer

struct ChartRow {
  std::string title;
  std::string quantity;
  CurveScale scale = CurveScale::kAuto;
  std::vector<std::pair<std::string, std::string>> metrics;  // name, in the legend
};

const std::vector<ChartRow>& chart_rows() {
  using enum CurveScale;
  static const std::vector<ChartRow> rows = {
      {"Loss",
       "nat/token",
       kAuto,
       {{"loss", "training"},
        {"train_loss", "training"},
        {"val_loss", "validation, deployed weights"},
        {"val_loss_soft", "validation, soft weights"},
        {"distill_kl", "KL to the teacher"}}},
      {"What deploying costs",
       "nat/token, hard minus soft",
       kLinear,
       {{"hard_soft_gap", "hard minus soft"}}},
      {"Learning rate",
       "learning rate",
       kFromZero,
       {{"lr", "learning rate"}, {"learning_rate", "learning rate"}}},
      {"Gradient norm", "global norm before clipping", kAuto, {{"grad_norm", "gradient norm"}}},
      {"Code flips",
       "share of codes that changed",
       kAuto,
       {{"code_flip_rate", "flips"}, {"flip_rate", "flips"}}},
      {"Weights",
       "share of weights",
       kFromZero,
       {{"zero_fraction", "zero"}, {"near_threshold", "near a threshold"}}},
      {"Speed",
       "tokens/s",
       kFromZero,
       {{"tokens_per_s", "tokens/s"}, {"tokens_per_second", "tokens/s"}}}};
  return rows;
}

/// Not figures of their own: they only count.
bool is_counter(const std::string& name) {
  static const std::set<std::string> kCounters = {"step", "time", "tokens", "epoch"};
  return kCounters.contains(name);
}

const MetricSeries* series_of(const ModelResult& model, const std::string& name) {
  const auto found = std::find_if(model.metrics.begin(), model.metrics.end(),
                                  [&](const auto& series) { return series.name == name; });
  return found == model.metrics.end() ? nullptr : &*found;
}

/// "temperature/mean" -> "temperature"; names without such an ending stay.
std::string stem_of(const std::string& name) {
  for (const char* ending : {"/min", "/mean", "/max"})
    if (name.ends_with(ending)) return name.substr(0, name.size() - std::string(ending).size());
  return name;
}

/// Charts of the table, then one for each other name, those of minimum, mean and maximum joined.
std::vector<ChartRow> rows_of(const RunReport& report) {
  std::vector<ChartRow> rows = chart_rows();
  std::set<std::string> known;
  for (const auto& row : rows)
    for (const auto& [name, label] : row.metrics) known.insert(name);
  std::map<std::string, std::set<std::string>> others;
  for (const auto& model : report.models)
    for (const auto& series : model.metrics)
      if (!known.contains(series.name) && !is_counter(series.name))
        others[stem_of(series.name)].insert(series.name);
  for (const auto& [stem, names] : others) {
    ChartRow row{.title = stem, .quantity = stem};
    for (const char* ending : {"/max", "/mean", "/min", ""})
      if (names.contains(stem + ending))
        row.metrics.emplace_back(stem + ending, *ending == 0 ? stem : ending + 1);
    rows.push_back(std::move(row));
  }
  return rows;
}

size_t num_trained(const RunReport& report) {
  return static_cast<size_t>(std::count_if(report.models.begin(), report.models.end(),
                                           [](const auto& m) { return !m.metrics.empty(); }));
}

/// With one trained model its lines differ in colour and dashes; with several, colours are models'
/// and dashes are figures.
CurveChart chart_of(const RunReport& report, const ChartRow& row, size_t number) {
  CurveChart chart{.id = "curve-" + std::to_string(number),
                   .title = row.title,
                   .quantity = row.quantity,
                   .scale = row.scale};
  const bool has_several = num_trained(report) > 1;
  for (size_t i = 0; i < report.models.size(); ++i) {
    size_t figure = 0;
    for (const auto& [name, label] : row.metrics) {
      const auto* series = series_of(report.models[i], name);
      if (series == nullptr || series->points.empty()) continue;
      chart.lines.push_back({.name = has_several ? report.models[i].name + " " + label : label,
                             .colour = has_several ? i : figure + 1,
                             .dash = figure,
                             .points = series->points});
      ++figure;
    }
  }
  return chart;
}

}  // namespace

Markup training_section(const RunReport& report) {
  if (num_trained(report) == 0) return {};
  Markup figures;
  size_t num_charts = 0, num_left_out = 0;
  for (const auto& row : rows_of(report)) {
    const auto chart = chart_of(report, row, num_charts);
    if (chart.lines.empty()) continue;
    if (num_charts == kMostCharts) {
      ++num_left_out;
      continue;
    }
    figures += curve_figure(chart);
    ++num_charts;
  }
  if (figures.empty()) return {};
  auto content = element("div", {{"class", "charts"}}, figures);
  if (num_left_out > 0)
    content += note(std::to_string(num_left_out) + " more figures are in metrics.jsonl.");
  return section("training", "Training", content);
}

}  // namespace qtk::report
