#include "dist/link.hpp"

#include "dist/wire_format.hpp"
#include "link_fixtures.hpp"
#include "ranks.hpp"

namespace qtk::dist {
namespace {

constexpr int64_t kMicroBatches = 3;
const TensorSpec kMessageSpec = {.shape = {2, 3, 5}, .dtype = at::kFloat};

at::Tensor activation(int64_t step, int64_t micro_batch) {
  return at::arange(30, at::kFloat).view({2, 3, 5}).mul(0.07).add(10 * step + micro_batch);
}

struct Form {
  bool has_hash, is_warmup, is_shaped;
};

/// What a link says of one transfer, in the order in which messages were handed over.
class LinkTest : public ::testing::TestWithParam<Form> {
 protected:
  static MessageInfo info(int64_t step, int64_t micro_batch, const std::vector<int64_t>& samples) {
    return {.spec = kMessageSpec,
            .step = step,
            .micro_batch = micro_batch,
            .samples = samples,
            .is_warmup = GetParam().is_warmup};
  }
  static LinkSetup setup(World& world, Compressor& compressor, Timeline& timeline, Lane lane) {
    return {.direction = "forward",
            .group = world.forward(),
            .peer = 1 - world.mesh().stage(),
            .compressor = compressor,
            .spec = kMessageSpec,
            .has_hash = GetParam().has_hash,
            .timeline = timeline,
            .lane = lane};
  }
};

TEST_P(LinkTest, WhatOneEndSendsTheOtherTakes) {
  const Ranks ranks(1, 2);
  ranks.run([&](World& world) {
    const Form form = GetParam();
    const int64_t bytes = (form.is_warmup ? 120 : 60) + (form.has_hash ? 8 : 0);
    Timeline timeline(world.mesh().rank, c10::kCPU, false);
    Eighths compressor;
    const std::vector<std::vector<int64_t>> samples = {{4, 5}, {6, 7}, {8, 9}};
    if (world.mesh().is_first()) {
      const LinkShape shape = form.is_shaped
                                  ? LinkShape{.bytes_per_second = 1e6, .latency = Seconds(0.001)}
                                  : LinkShape{};
      const LinkSetup link = setup(world, compressor, timeline, Lane::kForwardSend);
      EXPECT_EQ(message_bytes(link, form.is_warmup), bytes);
      SendingEnd sending(link, shape);
      for (int64_t step = 0; step < 2; ++step) {
        for (int64_t i = 0; i < kMicroBatches; ++i)
          sending.send(activation(step, i), info(step, i, samples[static_cast<size_t>(i)]));
        sending.finish();
      }
      EXPECT_EQ(sending.sent_bytes(), 2 * kMicroBatches * bytes);
    } else {
      ReceivingEnd receiving(setup(world, compressor, timeline, Lane::kForwardReceive),
                             LinkShape{});
      for (int64_t step = 0; step < 2; ++step) {
        receiving.post(kMicroBatches, form.is_warmup);
        for (int64_t i = 0; i < kMicroBatches; ++i) {
          const bool is_leaf = i != 1;
          const at::Tensor x =
              receiving.take(info(step, i, samples[static_cast<size_t>(i)]), is_leaf);
          const at::Tensor sent = activation(step, i);
          EXPECT_TRUE(at::equal(x.detach(), form.is_warmup ? sent : to_eighths(sent)));
          EXPECT_EQ(x.requires_grad(), is_leaf);
          EXPECT_TRUE(x.is_leaf());
        }
      }
    }
    EXPECT_EQ(compressor.micro_batches, (std::vector<int64_t>{0, 1, 2, 0, 1, 2}));
    EXPECT_EQ(compressor.samples[4], samples[1]);
  });
}

INSTANTIATE_TEST_SUITE_P(AllForms, LinkTest,
                         ::testing::Values(Form{false, false, false}, Form{true, false, false},
                                           Form{false, true, false}, Form{true, true, true},
                                           Form{false, false, true}),
                         [](const auto& test) {
                           return std::string(test.param.has_hash ? "Hashed" : "Bare") +
                                  (test.param.is_warmup ? "WarmUp" : "Compressed") +
                                  (test.param.is_shaped ? "Shaped" : "");
                         });

TEST(LinkFaultTest, ADamagedMessageIsNamed) {
  const Ranks ranks(1, 2);
  const auto failures = ranks.try_run([](World& world) {
    ProcessGroup& group = world.forward();
    at::Tensor message = at::zeros({60 + kHashBytes}, at::kByte);
    if (world.mesh().is_first()) return group.send(message, 1, 0, "a message").wait();
    Timeline timeline(1, c10::kCPU, false);
    Eighths compressor;
    ReceivingEnd receiving({"forward", group, 0, compressor, kMessageSpec, /*has_hash=*/true,
                            timeline, Lane::kForwardReceive},
                           LinkShape{});
    receiving.post(1, /*is_warmup=*/false);
    const std::vector<int64_t> samples = {0, 1};
    const auto take = [&](int64_t micro_batch) {
      receiving.take({.spec = kMessageSpec, .micro_batch = micro_batch, .samples = samples}, true);
    };
    EXPECT_TRUE(contains(sentence_of([&] { take(0); }),
                         "the forward micro-batch 0 was damaged on the way"));
    EXPECT_TRUE(contains(sentence_of([&] { take(1); }), "no receive is posted for micro-batch 1"));
  });
  for (const auto& failure : failures) EXPECT_FALSE(failure) << failure->sentence;
}

}  // namespace
}  // namespace qtk::dist
