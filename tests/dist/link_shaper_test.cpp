#include "dist/link_shaper.hpp"

#include <gtest/gtest.h>

namespace qtk::dist {
namespace {

using Time = LinkShaper::Time;

constexpr LinkShape kHundredPerSecond = {.bytes_per_second = 100, .burst_bytes = 50};

double departure(LinkShaper& shaper, double handed_over, int64_t bytes) {
  return shaper.departure(Time(handed_over), bytes).count();
}

TEST(LinkShaperTest, AnIdleLinkPassesItsBurstAtOnce) {
  LinkShaper shaper(kHundredPerSecond);

  EXPECT_DOUBLE_EQ(departure(shaper, 10, 50), 10);
}

TEST(LinkShaperTest, WhatExceedsTheBurstWaitsForTheRate) {
  LinkShaper shaper(kHundredPerSecond);

  EXPECT_DOUBLE_EQ(departure(shaper, 10, 80), 10.3);
}

TEST(LinkShaperTest, MessagesHandedOverTogetherGoOneAfterAnother) {
  LinkShaper shaper(kHundredPerSecond);

  EXPECT_DOUBLE_EQ(departure(shaper, 10, 100), 10.5);
  EXPECT_DOUBLE_EQ(departure(shaper, 10, 100), 11.5);
  EXPECT_DOUBLE_EQ(departure(shaper, 10.2, 20), 11.7);
}

TEST(LinkShaperTest, TheBucketFillsWhileTheLinkIsIdleButNeverBeyondTheBurst) {
  LinkShaper shaper(kHundredPerSecond);
  EXPECT_DOUBLE_EQ(departure(shaper, 0, 50), 0);

  EXPECT_DOUBLE_EQ(departure(shaper, 0.2, 50), 0.5);  // 20 bytes have come back
  EXPECT_DOUBLE_EQ(departure(shaper, 100, 60), 100.1);
}

TEST(LinkShaperTest, WithoutABurstEveryByteTakesItsTime) {
  LinkShaper shaper({.bytes_per_second = 100, .burst_bytes = 0});

  EXPECT_DOUBLE_EQ(departure(shaper, 1, 10), 1.1);
  EXPECT_DOUBLE_EQ(departure(shaper, 5, 10), 5.1);
}

TEST(LinkShaperTest, LatencyDoesNotAddUp) {
  LinkShaper shaper({.bytes_per_second = 100, .burst_bytes = 0, .latency = Time(2)});

  EXPECT_DOUBLE_EQ(shaper.arrival(Time(0), 100).count(), 3);
  EXPECT_DOUBLE_EQ(shaper.arrival(Time(0), 100).count(), 4);
  EXPECT_DOUBLE_EQ(shaper.arrival(Time(10), 100).count(), 13);
}

TEST(LinkShaperTest, ALinkMayBeFastAndFar) {
  const LinkShape shape = {.latency = Time(2)};
  LinkShaper shaper(shape);

  EXPECT_TRUE(shape.is_shaped());
  EXPECT_DOUBLE_EQ(shaper.arrival(Time(1), 1 << 30).count(), 3);
  EXPECT_FALSE(LinkShape{}.is_shaped());
  EXPECT_TRUE(kHundredPerSecond.is_shaped());
}

}  // namespace
}  // namespace qtk::dist
