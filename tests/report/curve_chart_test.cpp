#include "report/curve_chart.hpp"

#include "report/markup_checker.hpp"
#include "report/page_parts.hpp"
#include "report/run_report.hpp"
#include "report/sample_report.hpp"
#include "report/sections.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

namespace qtk::report {
namespace {

Curve curve(size_t length, double (*value)(double)) {
  Curve points;
  for (size_t i = 1; i <= length; ++i)
    points.emplace_back(static_cast<double>(i), value(static_cast<double>(i)));
  return points;
}

/// Number of points of each polyline, in order.
std::vector<size_t> lengths_in(const std::string& svg) {
  std::vector<size_t> lengths;
  constexpr std::string_view kStart = " points=\"";
  for (size_t at = svg.find(kStart); at != svg.npos; at = svg.find(kStart, at + 1)) {
    const size_t begin = at + kStart.size();
    lengths.push_back(
        count(std::string_view(svg).substr(begin, svg.find('"', begin) - begin), ","));
  }
  return lengths;
}

CurveChart chart_with(std::vector<Curve> curves) {
  CurveChart chart{.id = "c", .title = "Loss", .quantity = "nat/token"};
  for (auto& points : curves)
    chart.lines.push_back({.name = "line " + std::to_string(chart.lines.size()),
                           .colour = chart.lines.size() + 1,
                           .dash = chart.lines.size(),
                           .points = std::move(points)});
  return chart;
}

TEST(CurveFigure, DrawsEveryPointOfEveryLine) {
  const auto figure = curve_figure(chart_with({curve(50, [](double x) { return 5 / x; }),
                                               curve(7, [](double x) { return 4 / x; })}))
                          .str();

  EXPECT_EQ(MarkupChecker::fault(figure), "");
  EXPECT_EQ(lengths_in(figure), (std::vector<size_t>{50, 7}));
  EXPECT_TRUE(holds(figure, "class=\"curve s1 d0\""));
  EXPECT_TRUE(holds(figure, "class=\"curve s2 d1\""));
  EXPECT_TRUE(holds(figure, "(log scale)"));  // 5 to 0.1
  EXPECT_TRUE(holds(figure, ">line 0</text>"));
  EXPECT_TRUE(
      holds(figure, "line 0: first 5.000, last 0.1000 at step 50, least 0.1000, largest 5.000"));
}

TEST(CurveFigure, StartsAndEndsAtTheSidesOfThePlot) {
  const auto figure = curve_figure(chart_with({{{10, 1}, {20, 2}, {30, 1.5}}})).str();

  EXPECT_TRUE(holds(figure, " points=\"52,"));
  EXPECT_TRUE(holds(figure, " 428,"));
  EXPECT_FALSE(holds(figure, "key-text"));  // one line needs no legend
}

TEST(CurveFigure, LeavesGapsWhereValuesAreNotFinite) {
  const auto figure =
      curve_figure(
          chart_with({{{1, 3}, {2, 2}, {3, NAN}, {4, 2.5}, {5, HUGE_VAL}, {6, 2}, {7, 2}, {8, 1}}}))
          .str();

  EXPECT_EQ(MarkupChecker::fault(figure), "");
  EXPECT_EQ(lengths_in(figure), (std::vector<size_t>{2, 2, 3}));  // a lone point is a dot
  EXPECT_TRUE(holds(figure, "Not finite, and left out: 2 values."));
  EXPECT_FALSE(holds(figure, "nan"));
}

TEST(CurveFigure, TakesWhatHardlyIsACurve) {
  for (const Curve& points : {Curve{}, Curve{{0, 0}}, Curve{{1, NAN}}, Curve{{5, -3}, {5, -3}}}) {
    const auto figure = curve_figure(chart_with({points})).str();
    EXPECT_EQ(MarkupChecker::fault(figure), "");
    EXPECT_FALSE(holds(figure, "nan,") || holds(figure, ",nan") || holds(figure, "NaN,")) << figure;
  }
}

TEST(CurveFigure, ScalesAsAsked) {
  auto chart = chart_with({curve(9, [](double x) { return x; })});
  chart.scale = CurveScale::kLinear;
  EXPECT_FALSE(holds(curve_figure(chart).str(), "(log scale)"));
  chart.scale = CurveScale::kFromZero;
  EXPECT_TRUE(holds(curve_figure(chart).str(), ">0</text>"));
}

TEST(Thinned, KeepsSpikesAndEnds) {
  auto points = curve(10000, [](double x) { return std::sin(x / 500); });
  points[4321].second = 50;
  points[7777].second = NAN;

  const auto few = thinned(points, 700);

  EXPECT_LE(few.size(), 702u);
  EXPECT_NE(std::find(few.begin(), few.end(), points[4321]), few.end());
  EXPECT_TRUE(std::any_of(few.begin(), few.end(), [](auto& p) { return std::isnan(p.second); }));
  EXPECT_TRUE(std::is_sorted(few.begin(), few.end(),
                             [](const auto& a, const auto& b) { return a.first < b.first; }));
  EXPECT_EQ(thinned(points, 10000).size(), points.size());
}

/// A report with curves of two variants and sensitivities.
RunReport trained_report() {
  auto report = sample_report();
  for (size_t i : {1, 2}) {
    const double level = static_cast<double>(i);
    auto& metrics = report.models[i].metrics;
    const auto add = [&](const char* name, size_t length, auto value) {
      MetricSeries series{name, {}};
      for (size_t step = 1; step <= length; ++step)
        series.points.emplace_back(100.0 * step, value(static_cast<double>(step)));
      metrics.push_back(series);
    };
    add("loss", 60, [&](double x) { return 2.5 + level * 3 / x + 0.05 * std::sin(7 * x); });
    add("val_loss", 6, [&](double x) { return 2.7 + level * 2 / x; });
    add("lr", 60, [](double x) { return 5e-4 * (1 - x / 60); });
    add("temperature/min", 60, [](double x) { return 0.3 - x / 300; });
    add("temperature/mean", 60, [](double x) { return 0.35 - x / 300; });
    add("temperature/max", 60, [](double x) { return 0.5 - x / 300; });
    add("tokens", 60, [](double x) { return 4096 * x; });
    add("zero_fraction", 60, [](double x) { return 0.3 + x / 600; });
  }
  report.sensitivity = Sensitivity{"trace of the Hessian", "an_estimator", {}};
  for (const auto& site : report.models[1].sites)
    report.sensitivity->sites.push_back(
        {site.site, site.block, site.role, 100 * site.relative_error, 0.5});
  report.sensitivity->sites.push_back({"lm_head", -1, "lm_head", 3, 0.1});
  return report;
}

TEST(TrainingSection, DrawsWhatIsThereAndNothingElse) {
  const auto section = training_section(trained_report()).str();

  EXPECT_EQ(MarkupChecker::fault(section), "");
  EXPECT_EQ(count(section, "<figure>"), 4u);  // loss, learning rate, zero share, temperature
  EXPECT_TRUE(holds(section, ">w4 training</text>"));
  EXPECT_TRUE(holds(section, ">w3 validation, deployed weights</text>"));
  EXPECT_TRUE(holds(section, "<b>temperature</b>"));
  EXPECT_FALSE(holds(section, "tokens/s"));
  EXPECT_EQ(lengths_in(section),
            (std::vector<size_t>{60, 6, 60, 6, 60, 60, 60, 60, 60, 60, 60, 60, 60, 60}));
}

TEST(TrainingSection, TellsTheLinesOfASingleModelApartByColour) {
  auto report = trained_report();
  report.models[2].metrics.clear();

  const auto section = training_section(report).str();

  EXPECT_TRUE(holds(section, "curve s1 d0"));
  EXPECT_TRUE(holds(section, "curve s3 d2"));
  EXPECT_TRUE(holds(section, ">training</text>"));
}

TEST(TrainingSection, IsAbsentWhereNothingWasTrained) {
  EXPECT_TRUE(training_section(sample_report()).empty());
  EXPECT_FALSE(holds(html(sample_report()), "id=\"training\""));
}

TEST(TrainingSection, BoundsTheNumberOfCharts) {
  auto report = sample_report();
  for (int i = 0; i < 100; ++i)
    report.models[1].metrics.push_back({"layer" + std::to_string(i), {{1, 1}, {2, 2}}});

  const auto section = training_section(report).str();

  EXPECT_EQ(count(section, "<figure>"), 40u);
  EXPECT_TRUE(holds(section, "60 more figures are in metrics.jsonl."));
}

TEST(SensitivitySection, HasABarForEveryLayerByRole) {
  const auto section = sensitivity_section(trained_report()).str();

  EXPECT_EQ(MarkupChecker::fault(section), "");
  EXPECT_EQ(count(section, "<svg class=\"panel\""), 7u);
  EXPECT_EQ(count(section, "<path class=\"hit\""), 210u);
  EXPECT_TRUE(holds(section, "trace of the Hessian, estimator an_estimator, by block"));
  EXPECT_TRUE(holds(section, "lm_head: 3.000 \u00b1 0.10"));
  EXPECT_EQ(count(section, "<th scope=\"row\">"), 211u);
}

TEST(SensitivitySection, ShowsNegativeAndMissingValues) {
  auto report = trained_report();
  report.sensitivity->sites[3].value = -4;
  report.sensitivity->sites[4].value = NAN;

  const auto section = sensitivity_section(report).str();

  EXPECT_EQ(MarkupChecker::fault(section), "");
  EXPECT_TRUE(holds(section, "could not be measured"));
  EXPECT_TRUE(holds(section, "o_proj: -4.000 \u00b1 0.50"));
  EXPECT_FALSE(holds(section, "d=\"Mnan") || holds(section, "VNaN"));
}

TEST(RunReportHtml, WithTrainingIsWellFormedAndSelfContained) {
  const auto page = html(trained_report());

  EXPECT_EQ(MarkupChecker::fault(page), "");
  for (const char* outside : {"http", "src=", "url(", "href", "<script"})
    EXPECT_FALSE(holds(page, outside)) << outside;
  EXPECT_LT(page.find("id=\"training\""), page.find("id=\"sensitivity\""));
  EXPECT_LT(page.find("id=\"sensitivity\""), page.find("id=\"layers\""));
  if (const char* path = std::getenv("QTK_WRITE_SAMPLE_REPORT")) std::ofstream(path) << page;
}

}  // namespace
}  // namespace qtk::report
