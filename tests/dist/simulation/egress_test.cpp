#include "dist/simulation/egress.hpp"

#include <gtest/gtest.h>

namespace qtk::dist {
namespace {

Egress byte_a_second(int64_t burst = 0) { return Egress({.rate_bits_s = 8, .burst_bytes = burst}); }

TEST(Egress, MessagesAtOnceDivideTheRate) {
  auto egress = byte_a_second();
  egress.begin(0, 4, 0);
  egress.begin(1, 1, 2);  // two bytes of the first are left

  EXPECT_DOUBLE_EQ(egress.next_end(), 4);
  EXPECT_EQ(egress.finish(4), 1);
  EXPECT_DOUBLE_EQ(egress.next_end(), 5);
  EXPECT_EQ(egress.finish(5), 0);
  EXPECT_TRUE(egress.is_idle());
}

TEST(Egress, TheRateIsDividedByWeight) {
  auto egress = byte_a_second();
  egress.begin(0, 6, 0, 3);
  egress.begin(1, 4, 0, 1);  // gets a quarter: 2 of its bytes have left when the first one has

  EXPECT_DOUBLE_EQ(egress.next_end(), 8);
  EXPECT_EQ(egress.finish(8), 0);
  EXPECT_DOUBLE_EQ(egress.next_end(), 10);
  EXPECT_EQ(egress.finish(10), 1);
}

TEST(Egress, AFullBucketLetsABurstPass) {
  auto egress = byte_a_second(3);
  egress.begin(0, 5, 0);
  EXPECT_DOUBLE_EQ(egress.next_end(), 2);
  egress.finish(2);

  egress.begin(0, 5, 4);  // two seconds of rest have filled in two bytes
  EXPECT_DOUBLE_EQ(egress.next_end(), 7);
  egress.finish(7);

  egress.begin(0, 2, 100);  // no more than the burst
  EXPECT_DOUBLE_EQ(egress.next_end(), 100);
  egress.finish(100);
  egress.begin(0, 2, 100);
  EXPECT_DOUBLE_EQ(egress.next_end(), 101);
}

TEST(Egress, WithoutALimitEverythingPassesAtOnce) {
  Egress egress({});
  egress.begin(0, 1e12, 3);
  egress.begin(1, 1, 3);

  EXPECT_DOUBLE_EQ(egress.next_end(), 3);
  egress.finish(3);
  EXPECT_DOUBLE_EQ(egress.next_end(), 3);
}

TEST(Link, ARingSendsTwiceAllButOnePart) {
  const LinkModel link{.rate_bits_s = 8, .latency_s = 0.5, .overhead_s = 0.25};

  EXPECT_DOUBLE_EQ(ring_bytes(4, 100), 150);
  EXPECT_DOUBLE_EQ(ring_all_reduce_s(link, 4, 100), 150 + 6 * 0.75);
  EXPECT_DOUBLE_EQ(ring_all_reduce_s(link, 1, 100), 0);
}

}  // namespace
}  // namespace qtk::dist
