#include "report/number.hpp"

#include "report/not_finite.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <limits>

namespace qtk::report {
namespace {

TEST(Fixed, RoundsToTheDecimalsAndHasNoNegativeZero) {
  EXPECT_EQ(fixed(20.9051, 2), "20.91");
  EXPECT_EQ(fixed(-1.5, 1), "-1.5");
  EXPECT_EQ(fixed(-0.0004, 2), "0.00");
  EXPECT_EQ(fixed(3, 0), "3");
  EXPECT_EQ(fixed(1e308, 2).size(), 312u);
}

TEST(Trimmed, DropsZerosAfterThePointOnly) {
  EXPECT_EQ(trimmed(12.5, 2), "12.5");
  EXPECT_EQ(trimmed(100, 2), "100");
  EXPECT_EQ(trimmed(7.000000000000001, 2), "7");
  EXPECT_EQ(trimmed(30, 0), "30");
}

TEST(Significant, CountsDigitsAcrossMagnitudes) {
  const std::pair<double, const char*> cases[] = {
      {0, "0"},          {0.0312345, "0.0312"}, {0.99996, "1.00"}, {9.999, "10.0"},
      {1.5, "1.50"},     {310.218, "310"},      {12345, "12345"},  {1e7, "1.00e7"},
      {-20.91, "-20.9"}, {0.00012, "0.000120"}, {3e-5, "3.00e-5"}, {1.2e-9, "1.20e-9"},
      {1e43, "1.00e43"},
  };
  for (const auto& [value, expected] : cases) EXPECT_EQ(significant(value, 3), expected);
}

TEST(Numbers, SayWhatIsNotFinite) {
  for (const auto& print :
       {+[](double v) { return fixed(v, 2); }, +[](double v) { return significant(v, 3); },
        +[](double v) { return exact(v); }, +[](double v) { return trimmed(v, 3); },
        +[](double v) { return measured(v, 0.1); }, +[](double v) { return duration(v); }}) {
    EXPECT_EQ(print(kNaN), "NaN");
    EXPECT_EQ(print(kInfinity), "inf");
    EXPECT_EQ(print(-kInfinity), "-inf");
  }
}

TEST(Exact, ReadsBackAsTheSameNumber) {
  for (const double value : {0.1, 1.0 / 3, 20.9113, 1e300, -5e-324, 0.0})
    EXPECT_EQ(std::strtod(exact(value).c_str(), nullptr), value);
  EXPECT_EQ(exact(0.1), "0.1");
}

TEST(Grouped, PutsCommasBetweenThousands) {
  const std::pair<int64_t, const char*> cases[] = {{0, "0"},          {999, "999"},
                                                   {1000, "1,000"},   {-999, "-999"},
                                                   {-1000, "-1,000"}, {269060552, "269,060,552"}};
  for (const auto& [value, expected] : cases) EXPECT_EQ(grouped(value), expected);
}

TEST(Measured, ShowsTwoDigitsOfTheErrorAndAsManyDecimalsOfTheValue) {
  EXPECT_EQ(measured(20.1042, 0.1173), "20.10 \u00b1 0.12");
  EXPECT_EQ(measured(310.218, 2.4821), "310.2 \u00b1 2.5");
  EXPECT_EQ(measured(310.218, 24.9), "310 \u00b1 25");
  EXPECT_EQ(measured(20.1042, 0.0996), "20.10 \u00b1 0.10");
}

TEST(Measured, ShowsFiveDigitsWhereTheErrorIsNotKnown) {
  EXPECT_EQ(measured(20.10424, 0), "20.104");
  EXPECT_EQ(measured(20.10424, kNaN), "20.104");
  EXPECT_EQ(measured(3.2e43, 1e41), "3.2000e43");
}

TEST(RelativeChange, HasASignAndOneDecimal) {
  EXPECT_EQ(relative_change(20, 20.8), "+4.0 %");
  EXPECT_EQ(relative_change(20, 19.9), "-0.5 %");
  EXPECT_EQ(relative_change(20, 20), "0.0 %");
  EXPECT_EQ(relative_change(20, 310), "+1450 %");
  EXPECT_EQ(relative_change(0, 1), "inf");
}

TEST(Duration, ChoosesTheUnit) {
  const std::pair<double, const char*> cases[] = {{0.117, "0.12 s"},     {41.26, "41.3 s"},
                                                  {59.96, "1 min 0 s"},  {1487.3, "24 min 47 s"},
                                                  {3599.7, "1 h 0 min"}, {7530, "2 h 6 min"}};
  for (const auto& [seconds, expected] : cases) EXPECT_EQ(duration(seconds), expected);
}

TEST(ByteUnit, IsMegabytesBelowTenGigabytes) {
  const auto unit = ByteUnit::for_sizes_up_to(9'999'999'999);

  EXPECT_EQ(unit.in_decimal(269060552), "269.06 MB");
  EXPECT_EQ(unit.in_binary(269060552), "256.60 MiB");
}

TEST(ByteUnit, IsGigabytesFromThere) {
  const auto unit = ByteUnit::for_sizes_up_to(10'000'000'000);

  EXPECT_EQ(unit.in_decimal(13476831232), "13.48 GB");
  EXPECT_EQ(unit.in_binary(13476831232), "12.55 GiB");
}

}  // namespace
}  // namespace qtk::report
