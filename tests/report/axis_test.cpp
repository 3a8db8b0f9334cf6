#include "report/axis.hpp"

#include "report/not_finite.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

namespace qtk::report {
namespace {

std::vector<std::string> labels(const Axis& axis) {
  std::vector<std::string> all;
  for (const double tick : axis.ticks()) all.push_back(axis.label(tick));
  return all;
}

TEST(AxisFromZero, StartsAtZeroAndEndsAtARoundTickAboveTheLargest) {
  const auto axis = Axis::from_zero(0.137, 4);

  EXPECT_EQ(axis.low(), 0);
  EXPECT_NEAR(axis.high(), 0.15, 1e-12);
  EXPECT_EQ(labels(axis), (std::vector<std::string>{"0.00", "0.05", "0.10", "0.15"}));
  EXPECT_FALSE(axis.is_log());
}

TEST(AxisFromZero, DoesNotGrowPastALargestValueThatIsATick) {
  EXPECT_NEAR(Axis::from_zero(0.3, 4).high(), 0.3, 1e-12);
  EXPECT_EQ(Axis::from_zero(20, 4).high(), 20);
}

TEST(AxisFromZero, IsZeroToOneWithoutAUsableValue) {
  for (const double value : {0.0, -1.0, kNaN, kInfinity, 1e-320}) {
    EXPECT_EQ(Axis::from_zero(value, 4).low(), 0);
    EXPECT_EQ(Axis::from_zero(value, 4).high(), 1);
  }
}

TEST(AxisAround, IsLinearForValuesWithinAFactorOfThree) {
  const auto axis = Axis::around({20.1, 20.9, 24.3}, {.num_ticks = 7});

  EXPECT_FALSE(axis.is_log());
  EXPECT_LT(axis.low(), 20.1);
  EXPECT_GT(axis.low(), 19);
  EXPECT_GT(axis.high(), 24.3);
  EXPECT_EQ(labels(axis), (std::vector<std::string>{"20", "21", "22", "23", "24"}));
}

TEST(AxisAround, IsLogarithmicBeyond) {
  const auto axis = Axis::around({20.1, 20.9, 24.3, 310}, {.num_ticks = 7});

  EXPECT_TRUE(axis.is_log());
  EXPECT_NEAR(axis.fraction(std::sqrt(axis.low() * axis.high())), 0.5, 1e-12);
  EXPECT_EQ(labels(axis), (std::vector<std::string>{"20", "30", "50", "100", "200", "300"}));
}

TEST(AxisAround, NeverTakesLogarithmsOfZeroOrLess) {
  EXPECT_FALSE(Axis::around({0, 10}, {}).is_log());
  EXPECT_FALSE(Axis::around({-5, 10}, {}).is_log());
  EXPECT_EQ(Axis::around({0, 10}, {}).low(), 0);
}

TEST(AxisAround, LeavesTheAirItIsAskedFor) {
  const auto axis = Axis::around({100, 200}, {.num_ticks = 5, .air = 0.2});

  EXPECT_DOUBLE_EQ(axis.low(), 80);
  EXPECT_DOUBLE_EQ(axis.high(), 220);
}

TEST(AxisAround, IgnoresWhatIsNotFinite) {
  const auto axis = Axis::around({kNaN, 20, kInfinity, 22}, {});

  EXPECT_GT(axis.low(), 19);
  EXPECT_LT(axis.high(), 23);
}

TEST(AxisAround, HoldsASingleValueInItsMiddle) {
  EXPECT_NEAR(Axis::around({20.1}, {}).fraction(20.1), 0.5, 1e-9);
  EXPECT_GE(Axis::around({20.1}, {}).ticks().size(), 2u);
}

// A diverged model's perplexity may be the exponential of hundreds.
TEST(Axis, HasAFewDistinctTicksInsideItsRangeForAnyValues) {
  const std::vector<double> cases[] = {{1, 1e43},    {1e-300, 1e300}, {20, 1e304}, {5e-324, 1},
                                       {1e-9, 2e-9}, {1, 1 + 1e-15},  {7},         {0},
                                       {-3, -2},     {1e300, 2e300},  {},          {1e6, 1.2e6}};
  for (const auto& values : cases) {
    const auto axis = Axis::around(values, {.num_ticks = 7});

    const auto printed = labels(axis);
    EXPECT_GE(printed.size(), 1u);
    EXPECT_LE(printed.size(), 11u);
    EXPECT_EQ(std::set<std::string>(printed.begin(), printed.end()).size(), printed.size());
    for (const double tick : axis.ticks()) {
      EXPECT_GE(axis.fraction(tick), -1e-9);
      EXPECT_LE(axis.fraction(tick), 1 + 1e-9);
    }
    for (const double value : values) {
      EXPECT_GE(axis.fraction(value), -1e-9) << value;
      EXPECT_LE(axis.fraction(value), 1 + 1e-9) << value;
    }
  }
}

TEST(AxisLabel, IsShortestOnALogScale) {
  const auto axis = Axis::around({1e-9, 1e9}, {});

  EXPECT_EQ(axis.label(1e-9), "1e-9");
  EXPECT_EQ(axis.label(1.5e7), "1.5e7");
  EXPECT_EQ(axis.label(0.0003), "0.0003");
  EXPECT_EQ(axis.label(1.5), "1.5");
  EXPECT_EQ(axis.label(200000), "200000");
}

TEST(AxisLabel, StaysShort) {
  for (const auto& values : {std::vector<double>{1e-7, 1}, {1, 1e43}, {1.5e6, 9e6}, {1e-9, 2e-9}}) {
    for (const auto& label : labels(Axis::around(values, {}))) EXPECT_LE(label.size(), 7u) << label;
  }
}

TEST(IntegerStep, IsTheSmallestRoundStepWithFewEnoughTicks) {
  const struct {
    int span, num_ticks, step;
  } cases[] = {{1, 8, 1},
               {7, 8, 1},
               {29, 8, 5},
               {79, 8, 10},
               {0, 8, 1},
               {125, 8, 20},
               {2147483647, 8, 500000000},
               {29, 0, 50}};
  for (const auto& c : cases) EXPECT_EQ(integer_step(c.span, c.num_ticks), c.step) << c.span;
}

}  // namespace
}  // namespace qtk::report
