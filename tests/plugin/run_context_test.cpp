#include "plugin/run_context.hpp"

#include <qtk/runtime/error.hpp>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace qtk::plugin {
namespace {

TEST(CoreRunContext, StreamsDependOnSeedPurposeStepAndSiteOnly) {
  CoreRunContext context({.seed = 7}), again({.seed = 7, .component = "other"}), other({.seed = 8});
  const auto first = [](const RunContext& from, std::string_view purpose, int64_t step,
                        std::string_view site) {
    return from.random(purpose, step, site).next_u64();
  };

  const uint64_t expected = first(context, "probe", 3, "q_proj");

  EXPECT_EQ(first(context, "probe", 3, "q_proj"), expected);
  EXPECT_EQ(first(again, "probe", 3, "q_proj"), expected);
  EXPECT_NE(first(other, "probe", 3, "q_proj"), expected);
  EXPECT_NE(first(context, "noise", 3, "q_proj"), expected);
  EXPECT_NE(first(context, "probe", 4, "q_proj"), expected);
  EXPECT_NE(first(context, "probe", 3, "k_proj"), expected);
  EXPECT_EQ(expected,
            RandomStream({.seed = 7, .purpose = "probe", .step = 3, .site = "q_proj"}).next_u64());
}

TEST(CoreRunContext, MetricsReachTheSink) {
  std::vector<std::string> lines;
  CoreRunContext context({.metric = [&](std::string_view name, double value, int64_t step) {
    lines.push_back(std::string(name) + "=" + std::to_string(value) + "@" + std::to_string(step));
  }});

  context.metric("code_flip_rate", 0.25, 12);

  EXPECT_EQ(lines, (std::vector<std::string>{"code_flip_rate=0.250000@12"}));
}

TEST(CoreRunContext, MetricsWithoutASinkAreDropped) {
  CoreRunContext context({});

  EXPECT_NO_THROW(context.metric("x", 1, 0));
  EXPECT_NO_THROW(context.log().debug("x"));
  EXPECT_EQ(context.device(), at::Device(at::kCPU));
}

TEST(CoreRunContext, CollectivesOfOneRankReturnTheirInput) {
  CoreRunContext context({});
  at::Tensor x = at::tensor({1.0f, 2.0f});

  context.collectives().all_reduce_sum(x);
  const auto all = context.collectives().all_gather(x);

  EXPECT_TRUE(at::equal(x, at::tensor({1.0f, 2.0f})));
  ASSERT_EQ(all.size(), 1u);
  EXPECT_TRUE(at::equal(all[0], x));
}

TEST(CoreRunContext, SeveralRanksNeedCollectives) {
  EXPECT_THROW(CoreRunContext({.rank = 0, .world = 2}), Error);
  EXPECT_THROW(
      CoreRunContext({.rank = 2, .world = 2, .collectives = std::make_shared<SingleRank>()}),
      Error);
  EXPECT_EQ(CoreRunContext({.rank = 1, .world = 2, .collectives = std::make_shared<SingleRank>()})
                .world(),
            2);
}

}  // namespace
}  // namespace qtk::plugin
