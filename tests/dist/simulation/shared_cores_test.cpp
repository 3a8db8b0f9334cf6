#include "dist/simulation/shared_cores.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace qtk::dist {
namespace {

struct Task {
  double work_s, begin;
};

/// When each of the tasks ended; they begin in this order.
std::vector<double> ends_of(int64_t count, const std::vector<Task>& tasks) {
  SharedCores cores(count);
  for (size_t i = 0; i < tasks.size(); ++i)
    cores.begin(static_cast<int64_t>(i), tasks[i].work_s, tasks[i].begin);
  std::vector<double> ends(tasks.size());
  while (!cores.is_idle()) {
    const double now = cores.next_end();
    ends[static_cast<size_t>(cores.finish(now))] = now;
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
  // All advance by 2/3 until 1.5; the third one then has a core of its own for what is left, 1 s.
  const auto ends = ends_of(2, {{1, 0}, {1, 0}, {2, 0}});
  EXPECT_DOUBLE_EQ(ends[0], 1.5);
  EXPECT_DOUBLE_EQ(ends[1], 1.5);
  EXPECT_DOUBLE_EQ(ends[2], 2.5);
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
  const auto ends = ends_of(3, {{5, 0}, {1, 1}, {2, 1.5}});
  EXPECT_DOUBLE_EQ(ends[0], 5);
  EXPECT_DOUBLE_EQ(ends[1], 2);
  EXPECT_DOUBLE_EQ(ends[2], 3.5);
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
