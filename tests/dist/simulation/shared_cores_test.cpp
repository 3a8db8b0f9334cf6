#include "dist/simulation/shared_cores.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <map>

namespace qtk::dist {
namespace {

/// When every task ended, if none begins any more.
std::map<int64_t, double> ends_of(SharedCores& cores) {
  std::map<int64_t, double> ends;
  while (!cores.is_idle()) {
    const double now = cores.next_end();
    ends[cores.finish(now)] = now;
  }
  return ends;
}

TEST(SharedCores, TwoTasksOnOneCoreTakeTwiceAsLong) {
  SharedCores cores(1);
  cores.begin(0, 3, 10);
  cores.begin(1, 3, 10);

  EXPECT_DOUBLE_EQ(cores.next_end(), 16);
  EXPECT_EQ(cores.finish(16), 0);
  EXPECT_EQ(cores.finish(16), 1);
  EXPECT_TRUE(cores.is_idle());
  EXPECT_EQ(cores.next_end(), std::numeric_limits<double>::infinity());
}

TEST(SharedCores, ThreeTasksOnTwoCores) {
  SharedCores cores(2);
  cores.begin(0, 1, 0);
  cores.begin(1, 1, 0);
  cores.begin(2, 2, 0);

  // All advance by 2/3 until 1.5; the third one then has a core of its own for what is left, 1 s.
  const auto ends = ends_of(cores);

  EXPECT_DOUBLE_EQ(ends.at(0), 1.5);
  EXPECT_DOUBLE_EQ(ends.at(1), 1.5);
  EXPECT_DOUBLE_EQ(ends.at(2), 2.5);
}

TEST(SharedCores, ATaskThatComesLaterSlowsTheFirst) {
  SharedCores cores(1);
  cores.begin(7, 4, 0);
  cores.begin(8, 1, 2);  // 2 s of the first are left

  EXPECT_DOUBLE_EQ(cores.next_end(), 4);
  EXPECT_EQ(cores.finish(4), 8);
  EXPECT_DOUBLE_EQ(cores.next_end(), 5);
  EXPECT_EQ(cores.finish(5), 7);

  cores.begin(9, 1, 100);  // idle since 5
  EXPECT_DOUBLE_EQ(cores.next_end(), 101);
}

TEST(SharedCores, WithACoreForEveryTaskNobodyWaits) {
  SharedCores cores(3);
  cores.begin(0, 5, 0);
  cores.begin(1, 1, 1);
  cores.begin(2, 2, 1.5);

  const auto ends = ends_of(cores);

  EXPECT_DOUBLE_EQ(ends.at(0), 5);
  EXPECT_DOUBLE_EQ(ends.at(1), 2);
  EXPECT_DOUBLE_EQ(ends.at(2), 3.5);
}

TEST(SharedCores, ATaskWithoutWorkEndsAtOnce) {
  SharedCores cores(1);
  cores.begin(0, 5, 0);
  cores.begin(1, 0, 1);

  EXPECT_DOUBLE_EQ(cores.next_end(), 1);
  EXPECT_EQ(cores.finish(1), 1);
  EXPECT_DOUBLE_EQ(cores.next_end(), 5);
}

}  // namespace
}  // namespace qtk::dist
