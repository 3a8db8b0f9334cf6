#include "report/tradeoff_chart.hpp"

#include "report/markup_checker.hpp"
#include "report/page_parts.hpp"

#include <gtest/gtest.h>

namespace qtk::report {
namespace {

TradeoffChart chart_of(std::vector<Mark> marks) {
  TradeoffChart chart;
  chart.id = "c";
  chart.title = "Perplexity against size";
  chart.quantity = "perplexity";
  chart.protocol = "ppl_token/ctx=512";
  chart.unit = "MB";
  chart.marks = std::move(marks);
  return chart;
}

std::vector<Mark> four_marks() {
  return {{0, "base", 269.06, 20.1, 0.11},
          {1, "w4", 116.5, 20.9, 0.12},
          {2, "w3", 103.2, 24.3, 0.14},
          {3, "w2", 89.97, 310.2, 2.5}};
}

TEST(ParetoFront, KeepsWhatNoOtherBeatsInSizeAndValue) {
  const auto front = pareto_front({{0, "a", 10, 5},
                                   {1, "b", 5, 9},
                                   {2, "worse", 6, 9.5},
                                   {3, "c", 8, 7},
                                   {4, "equal", 9, 7},
                                   {5, "d", 5, 11}});

  std::string names;
  for (const auto& mark : front) names += mark.name;
  EXPECT_EQ(names, "bca");
}

TEST(TradeoffFigure, LabelsAndExplainsEveryPoint) {
  const auto figure = tradeoff_figure(chart_of(four_marks()));

  EXPECT_EQ(MarkupChecker::fault(figure.str()), "");
  for (const char* label : {">base 20.1<", ">w4 20.9<", ">w3 24.3<", ">w2 310<"})
    EXPECT_TRUE(holds(figure, label)) << label;
  EXPECT_TRUE(holds(figure, "<title>w4: 116.5 MB, perplexity 20.9 \u00b1 0.12</title>"));
  EXPECT_TRUE(holds(figure, "Each point is one model: base 269.1 MB, 20.10; w4 116.5 MB, 20.90;"));
  EXPECT_TRUE(holds(figure, "<code>ppl_token/ctx=512</code>"));
}

TEST(TradeoffFigure, LabelsAFewModelsEvenIfTheyAreNotTheBest) {
  auto marks = four_marks();
  marks.push_back({4, "w4-worse", 120, 30});

  EXPECT_TRUE(holds(tradeoff_figure(chart_of(marks)), ">w4-worse 30.0<"));
}

TEST(TradeoffFigure, SaysWhatItsAxesAre) {
  auto marks = four_marks();

  const auto wide = tradeoff_figure(chart_of(marks));
  marks.pop_back();
  const auto narrow = tradeoff_figure(chart_of(marks));

  EXPECT_TRUE(holds(wide, ">perplexity (log scale)<"));
  EXPECT_TRUE(holds(wide, ">size of all tensors, MB (axis does not start at 0)<"));
  EXPECT_TRUE(holds(narrow, ">perplexity (axis does not start at 0)<"));
}

TEST(TradeoffFigure, DrawsTheReferenceOnlyWhereThereIsABaseModel) {
  auto chart = chart_of(four_marks());

  EXPECT_FALSE(holds(tradeoff_figure(chart), "class=\"reference\""));
  chart.base = 20.1;
  chart.tolerance = 0.05;
  EXPECT_TRUE(holds(tradeoff_figure(chart), "class=\"reference\""));
  EXPECT_TRUE(holds(tradeoff_figure(chart), "up to 5\u00a0% above it"));
}

TEST(TradeoffFigure, DrawsWhiskersOnlyForKnownErrors) {
  auto marks = four_marks();
  marks[2].standard_error = 0;

  EXPECT_EQ(count(tradeoff_figure(chart_of(marks)), "\"whisker "), 3u);
}

TEST(TradeoffFigure, KeepsALongWhiskerInsideTheAxis) {
  const auto figure = tradeoff_figure(chart_of({{0, "a", 10, 20, 30}, {1, "b", 5, 200, 0}}));

  EXPECT_EQ(MarkupChecker::fault(figure.str()), "");
  EXPECT_FALSE(holds(figure, "NaN"));
  EXPECT_FALSE(holds(figure, "inf"));
}

TEST(TradeoffFigure, SaysWhatItLeavesOut) {
  auto chart = chart_of({});
  chart.left_out = {"w2 (NaN)"};

  const auto figure = tradeoff_figure(chart);

  EXPECT_TRUE(holds(figure, "Not drawn: w2 (NaN)."));
  EXPECT_FALSE(holds(figure, "<svg"));
}

TEST(TradeoffFigure, ShortensLongNamesInTheDrawingOnly) {
  const auto figure =
      tradeoff_figure(chart_of({{1, "a-name-that-goes-on-and-on-and-on", 10, 5}, {2, "b", 20, 4}}));

  EXPECT_TRUE(holds(figure, ">a-name-that-goes-on-and\u2026 5.00<"));
  EXPECT_TRUE(holds(figure, "<title>a-name-that-goes-on-and-on-and-on: 10 MB"));
}

TEST(TradeoffFigure, NamesOnlyTheBestOfManyModels) {
  std::vector<Mark> marks;
  for (size_t i = 0; i < 30; ++i)
    marks.push_back({i, "m" + std::to_string(i), 100.0 + static_cast<double>(i),
                     50.0 + static_cast<double>(i)});

  const auto figure = tradeoff_figure(chart_of(marks));

  EXPECT_EQ(count(figure, "class=\"point\""), 1u);
  EXPECT_TRUE(holds(figure, ">m0 50.0<"));
  EXPECT_TRUE(holds(figure, "for want of room: 29\u00a0models"));
  EXPECT_EQ(count(figure, "class=\"marker "), 30u);
}

TEST(TradeoffFigure, DrawsNoWebOfLeadersBetweenManyModels) {
  std::vector<Mark> marks = {{0, "far", 500, 1}};
  for (size_t i = 1; i < 30; ++i) {
    const auto step = static_cast<double>(i);
    marks.push_back({i, "m" + std::to_string(i), 100 + 0.1 * step, 50 - 0.1 * step});
  }

  const auto figure = tradeoff_figure(chart_of(marks));

  EXPECT_GE(count(figure, "class=\"point\""), 3u);
  EXPECT_EQ(count(figure, "class=\"leader\""), 0u);
}

}  // namespace
}  // namespace qtk::report
