#include "report/svg.hpp"

#include "report/markup_checker.hpp"
#include "report/page_parts.hpp"

#include <gtest/gtest.h>

#include <set>

namespace qtk::report {
namespace {

TEST(Coordinate, HasAtMostTwoDecimals) {
  EXPECT_EQ(coordinate(12.3456), "12.35");
  EXPECT_EQ(coordinate(12.5), "12.5");
  EXPECT_EQ(coordinate(12), "12");
  EXPECT_EQ(coordinate(-0.001), "0");
}

TEST(TextWidth, GrowsWithCharactersNotBytes) {
  EXPECT_DOUBLE_EQ(text_width("aa", 10), 2 * text_width("a", 10));
  EXPECT_DOUBLE_EQ(text_width("\u00e4", 10), text_width("a", 10));
  EXPECT_LT(text_width("iii", 10), text_width("mmm", 10));
}

TEST(Shortened, CutsBetweenCharacters) {
  EXPECT_EQ(shortened("abcde", 5), "abcde");
  EXPECT_EQ(shortened("abcdef", 5), "abcd\u2026");
  EXPECT_EQ(shortened("\u00e4\u00f6\u00fc\u00df", 3), "\u00e4\u00f6\u2026");
  EXPECT_EQ(shortened("", 3), "");
}

TEST(Fitted, KeepsAsMuchOfANameAsThereIsRoomFor) {
  const std::string name = "experts.down_proj";

  EXPECT_EQ(fitted(name, 10, 500), name);
  const auto cut = fitted(name, 10, 80);
  EXPECT_LE(text_width(cut, 10), 80);
  EXPECT_GT(text_width(cut, 10), 65);
  EXPECT_TRUE(cut.starts_with("experts.") && cut.ends_with("\u2026")) << cut;
  EXPECT_EQ(fitted(name, 10, 0), "e\u2026");
}

TEST(SeriesClass, IsTheBaseModelsOwnAndRepeatsForTheOthers) {
  EXPECT_EQ(series_class(0), "s0");
  EXPECT_EQ(series_class(1), "s1");
  EXPECT_EQ(series_class(6), "s6");
  EXPECT_EQ(series_class(7), "s1");
}

TEST(Drawing, NamesItselfForThoseWhoCannotSeeIt) {
  Drawing drawing(200, 100);

  const auto svg = drawing.finish({"c1", "Errors of <w4>", "Two blocks."}, "panel").str();

  EXPECT_EQ(MarkupChecker::fault(svg), "");
  EXPECT_TRUE(holds(svg, "viewBox=\"0 0 200 100\""));
  EXPECT_TRUE(holds(svg, "role=\"img\" aria-labelledby=\"c1-title c1-desc\""));
  EXPECT_TRUE(holds(svg, "<title id=\"c1-title\">Errors of &lt;w4&gt;</title>"));
  EXPECT_TRUE(holds(svg, "<desc id=\"c1-desc\">Two blocks.</desc>"));
}

TEST(Drawing, DrawsABarWithATooltipOverItsWholeColumn) {
  Drawing drawing(200, 100);

  drawing.bar({10, 90, 20, 95}, 30, "block 3: 0.1");

  EXPECT_EQ(drawing.take().str(),
            "<g><title>block 3: 0.1</title><path d=\"M10 95V90H20V95z\"/><path class=\"hit\" "
            "d=\"M10 95V30H20V95z\"/></g>");
}

TEST(Drawing, IsEmptyAfterItsShapesWereTaken) {
  Drawing drawing(200, 100);
  drawing.line({0, 0}, {10, 10.5}, "axis");

  EXPECT_EQ(drawing.take().str(), "<path class=\"axis\" d=\"M0 0L10 10.5\"/>");
  EXPECT_TRUE(drawing.take().empty());
}

// Colours repeat after six series, shapes after five, so that thirty look different.
TEST(Drawing, TellsThirtySeriesApartByColourAndShape) {
  std::set<std::string> looks;
  for (size_t index = 0; index <= 30; ++index) {
    Drawing drawing(10, 10);
    drawing.marker({5, 5}, index, "");
    looks.insert(drawing.take().str());
  }

  EXPECT_EQ(looks.size(), 31u);
}

TEST(PlotFrame, PutsTheLowestValuesAtTheLowerLeft) {
  const PlotFrame frame{{10, 20, 110, 70}, Axis::from_zero(10, 5), Axis::from_zero(4, 4)};

  EXPECT_DOUBLE_EQ(frame.at_x(0), 10);
  EXPECT_DOUBLE_EQ(frame.at_x(10), 110);
  EXPECT_DOUBLE_EQ(frame.at_y(0), 70);
  EXPECT_DOUBLE_EQ(frame.at_y(4), 20);
}

TEST(DrawAxes, LabelEveryTick) {
  const PlotFrame frame{{10, 20, 110, 70}, Axis::from_zero(10, 5), Axis::from_zero(0.4, 4)};
  Drawing drawing(120, 90);

  draw_x_axis(drawing, frame);
  draw_y_axis(drawing, frame);

  const auto svg = drawing.take().str();
  for (const char* label : {">2<", ">4<", ">10<", ">0.0<", ">0.1<", ">0.4<"})
    EXPECT_TRUE(holds(svg, label)) << label;
}

}  // namespace
}  // namespace qtk::report
