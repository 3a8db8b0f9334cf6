#include <qtk/runtime/error.hpp>
#include <qtk/runtime/random.hpp>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <set>

namespace qtk {
namespace {

// Known answers published with Random123 (kat_vectors, philox4x32 10).
TEST(Philox, GivesThePublishedKnownAnswers) {
  using Words = std::array<uint32_t, 4>;

  EXPECT_EQ(RandomStream::block({0, 0, 0, 0}, {0, 0}),
            (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  constexpr uint32_t kOnes = 0xffffffff;
  EXPECT_EQ(RandomStream::block({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(RandomStream::block({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
                                {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(RandomStream, EqualKeysGiveEqualNumbersAndAnyFieldChangesThem) {
  const RandomKey key{
      .seed = 7, .purpose = "probe", .step = 3, .site = "model.layers.0.q_proj", .rank = 1};
  std::set<uint64_t> firsts;
  const auto first = [](RandomKey k) { return RandomStream(k).next_u64(); };

  EXPECT_EQ(first(key), first(key));
  firsts.insert(first(key));
  auto other = key;
  other.seed = 8;
  firsts.insert(first(other));
  other = key;
  other.purpose = "noise";
  firsts.insert(first(other));
  other = key;
  other.step = 4;
  firsts.insert(first(other));
  other = key;
  other.site = "model.layers.1.q_proj";
  firsts.insert(first(other));
  other = key;
  other.rank = 2;
  firsts.insert(first(other));
  EXPECT_EQ(firsts.size(), 6u);
}

TEST(RandomStream, UniformFillStaysBelowOneInEveryDtype) {
  for (const auto dtype : {at::kDouble, at::kFloat, at::kHalf, at::kBFloat16}) {
    auto x = at::empty({100000}, dtype);
    RandomStream({.seed = 1, .purpose = "test"}).fill_uniform(x);

    EXPECT_LT(x.max().item<double>(), 1.0) << dtype;
    EXPECT_GE(x.min().item<double>(), 0.0) << dtype;
    EXPECT_NEAR(x.to(at::kDouble).mean().item<double>(), 0.5, 0.01) << dtype;
  }
}

TEST(RandomStream, NormalFillHasUnitVariance) {
  auto x = at::empty({200000}, at::kFloat);
  RandomStream({.seed = 2, .purpose = "test"}).fill_normal(x);

  EXPECT_NEAR(x.mean().item<double>(), 0.0, 0.01);
  EXPECT_NEAR(x.std().item<double>(), 1.0, 0.01);
}

TEST(RandomStream, RademacherFillHoldsOnlyPlusAndMinusOne) {
  auto x = at::empty({10000}, at::kFloat);
  RandomStream({.seed = 3, .purpose = "test"}).fill_rademacher(x);

  EXPECT_TRUE(x.abs().eq(1).all().item<bool>());
  EXPECT_NEAR(x.mean().item<double>(), 0.0, 0.04);
}

TEST(RandomStream, BelowReachesEveryValueAndRefusesZero) {
  RandomStream random({.seed = 4, .purpose = "test"});
  std::set<uint64_t> seen;
  for (int i = 0; i < 200; ++i) seen.insert(random.below(5));

  EXPECT_EQ(seen, (std::set<uint64_t>{0, 1, 2, 3, 4}));
  EXPECT_THROW(random.below(0), Error);
}

}  // namespace
}  // namespace qtk
