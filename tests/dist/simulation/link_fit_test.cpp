#include "dist/simulation/link_fit.hpp"

#include <qtk/runtime/error.hpp>

#include <gtest/gtest.h>

#include <vector>

namespace qtk::dist {
namespace {

TEST(LinkFit, ALineIsFoundExactly) {
  std::vector<LineSample> samples;
  for (const double bytes : {1e3, 1e4, 1e6, 1e7}) samples.push_back({bytes, 2e-4 + 8e-9 * bytes});

  const auto fit = fit_line(samples);

  EXPECT_NEAR(fit.seconds, 2e-4, 1e-9);
  EXPECT_NEAR(fit.seconds_per_byte, 8e-9, 1e-14);
  EXPECT_LT(fit.largest_error, 1e-6);
}

TEST(LinkFit, SmallMessagesCountAsMuchAsLargeOnes) {
  // Times 5 % too long at the large end must not move the figure of the small end by as much.
  const auto fit = fit_line(std::vector<LineSample>{
      {64, 1e-4}, {128, 1e-4}, {1e6, 1.05 * (1e-4 + 1e-8 * 1e6)}, {2e6, 1e-4 + 1e-8 * 2e6}});

  EXPECT_NEAR(fit.seconds, 1e-4, 5e-6);
  EXPECT_NEAR(fit.seconds_per_byte, 1e-8, 5e-10);
  EXPECT_GT(fit.largest_error, 0.01);
}

TEST(LinkFit, NoFigureIsNegative) {
  const auto steep = fit_line(std::vector<LineSample>{{1e6, 1e-3}, {2e6, 3e-3}});
  const auto falling = fit_line(std::vector<LineSample>{{1e6, 3e-3}, {2e6, 1e-3}});

  EXPECT_EQ(steep.seconds, 0);
  EXPECT_GT(steep.seconds_per_byte, 0);
  EXPECT_EQ(falling.seconds_per_byte, 0);
  EXPECT_GT(falling.seconds, 0);
}

TEST(LinkFit, OneSizeIsNoLine) {
  EXPECT_THROW(fit_line(std::vector<LineSample>{{1e6, 1e-3}, {1e6, 2e-3}}), Error);
}

}  // namespace
}  // namespace qtk::dist
