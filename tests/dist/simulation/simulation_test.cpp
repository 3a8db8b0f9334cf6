// The simulator against cases that can be worked out by hand.
#include "dist/simulation/simulation.hpp"

#include "dist/simulation/schedule_kinds.hpp"
#include "dist/simulation/step_bounds.hpp"

#include <qtk/runtime/error.hpp>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <map>

namespace qtk::dist {
namespace {

/// Every pass alike; a byte takes a second on the link unless `link` says otherwise.
PipelineModel pipeline(ScheduleKind schedule, int64_t stages, int64_t micro_batches,
                       double forward_s, double backward_s, double message_bytes = 0) {
  PipelineModel model{.schedule = schedule, .micro_batches = micro_batches};
  model.stages.assign(static_cast<size_t>(stages),
                      {.forward_s = forward_s, .backward_s = backward_s});
  model.forward_bytes = model.backward_bytes = message_bytes;
  model.link.rate_bits_s = model.data_link.rate_bits_s = 8;
  return model;
}

TEST(Simulation, WithoutCommunicationTheStepIsTheTextbookOne) {
  for (const auto schedule : kSchedules)
    for (const auto& [p, m] : {std::pair{2, 2}, {4, 8}, {8, 32}, {3, 1}, {1, 5}}) {
      const auto simulation = simulate(pipeline(schedule, p, m, 0.02, 0.04));

      EXPECT_NEAR(simulation.step_s, (m + p - 1) * 0.06, 1e-9) << p << " stages, " << m;
      EXPECT_NEAR(simulation.bubble_fraction, (p - 1.0) / (m + p - 1.0), 1e-9);
    }
}

TEST(Simulation, OneStageTakesItsComputeAndItsOptimizer) {
  auto model = pipeline(ScheduleKind::k1f1b, 1, 4, 1, 2, 1000);
  model.stages[0].optimizer_s = 5;
  model.stages[0].encode_forward_s = model.stages[0].decode_backward_s = 7;  // it has no neighbour

  const auto simulation = simulate(model);

  EXPECT_DOUBLE_EQ(simulation.step_s, 4 * 3 + 5);
  EXPECT_TRUE(simulation.links.empty());
  EXPECT_DOUBLE_EQ(simulation.ranks[0].compute_s(), 12);
  EXPECT_DOUBLE_EQ(simulation.ranks[0].optimizer_s, 5);
}

// Two stages, two micro-batches, forward 1 s, backward 2 s, a message 1 s.
TEST(Simulation, TwoMicroBatchesByHand) {
  // gpipe: stage 0 sends at 1 and 2; stage 1 computes forward 2-4, backward 4-8; stage 0 gets
  // gradients at 7 and 9, and computes 7-11.
  EXPECT_DOUBLE_EQ(simulate(pipeline(ScheduleKind::kGpipe, 2, 2, 1, 2, 1)).step_s, 11);
  // 1f1b: stage 1 F0 2-3, B0 3-5, F1 5-6, B1 6-8; stage 0 B0 6-8, B1 9-11.
  EXPECT_DOUBLE_EQ(simulate(pipeline(ScheduleKind::k1f1b, 2, 2, 1, 2, 1)).step_s, 11);
}

TEST(Simulation, AReceiveThatIsPostedLateDelaysTheTransfer) {
  // Stage 1 asks for its second message at 3 instead of taking it at 2: forward 2-3 and 4-5,
  // backward 5-9; stage 0 asks for its second gradient at 10: backward 8-10 and 11-13.
  auto model = pipeline(ScheduleKind::kGpipe, 2, 2, 1, 2, 1);
  model.receives = ReceiveRule::kWhenNeeded;

  EXPECT_DOUBLE_EQ(simulate(model).step_s, 13);
}

TEST(Simulation, EncodingAndDecodingAreDoneByTheRanks) {
  auto model = pipeline(ScheduleKind::k1f1b, 2, 1, 1, 2, 1);
  for (auto& stage : model.stages) {
    stage.encode_forward_s = 0.1;
    stage.decode_forward_s = 0.2;
    stage.encode_backward_s = 0.4;
    stage.decode_backward_s = 0.8;
  }
  model.link.send_cpu_s_per_byte = 0.01;
  model.link.receive_cpu_s_per_byte = 0.02;

  const auto simulation = simulate(model);

  EXPECT_NEAR(simulation.step_s, 2 * (1 + 2 + 1) + 0.1 + 0.2 + 0.4 + 0.8 + 2 * 0.03, 1e-9);
  EXPECT_NEAR(simulation.ranks[0].encode_s, 0.1, 1e-12);
  EXPECT_NEAR(simulation.ranks[0].decode_s, 0.8, 1e-12);
  EXPECT_NEAR(simulation.ranks[1].encode_s, 0.4, 1e-12);
  EXPECT_NEAR(simulation.ranks[1].decode_s, 0.2, 1e-12);
}

TEST(Simulation, LatencyAndOverheadCountOnceAMessage) {
  auto model = pipeline(ScheduleKind::k1f1b, 2, 1, 1, 2, 1);
  model.has_global_norm = false;
  model.link.latency_s = 0.25;
  model.link.overhead_s = 0.125;

  EXPECT_DOUBLE_EQ(simulate(model).step_s, 2 * (1 + 2) + 2 * (1 + 0.25 + 0.125));
}

TEST(Simulation, ASlowLinkSetsTheTime) {
  constexpr int64_t kMicroBatches = 64;
  auto model = pipeline(ScheduleKind::k1f1b, 4, kMicroBatches, 0.001, 0.002, 1);
  const double duplex = simulate(model).step_s;
  model.schedule = ScheduleKind::kGpipe;
  const double flush = simulate(model).step_s;

  // Messages of one direction follow one another; the fill is one message per link and direction.
  EXPECT_GE(flush, 2 * kMicroBatches);
  EXPECT_LE(flush, 2 * (kMicroBatches + 3) + 1);
  // 1f1b starts a forward pass only for a gradient: a message each way, both links at once.
  EXPECT_GE(duplex, kMicroBatches);
  EXPECT_LT(duplex, flush);
}

TEST(Simulation, TwoMessagesThatLeaveARankShareItsEgress) {
  auto model = pipeline(ScheduleKind::k1f1b, 3, 16, 0.001, 0.002, 1);
  const double own = simulate(model).step_s;
  model.link.shares_egress = true;
  const double shared = simulate(model).step_s;

  EXPECT_GE(shared, 2 * 16);  // the middle stage sends both ways
  EXPECT_GT(shared, own);
  auto pair = pipeline(ScheduleKind::k1f1b, 2, 16, 0.001, 0.002, 1);
  const double pair_own = simulate(pair).step_s;
  pair.link.shares_egress = true;
  EXPECT_DOUBLE_EQ(simulate(pair).step_s, pair_own);  // of two stages each sends one way
}

TEST(Simulation, MessagesThatShareUnevenlyTakeTheirOwnTimes) {
  auto model = pipeline(ScheduleKind::k1f1b, 4, 16, 0.001, 0.002, 1);
  model.link.shares_egress = true;
  const double even = simulate(model).step_s;
  model.link.share_spread = 0.5;

  EXPECT_GT(simulate(model).step_s, even);  // somebody always waits for the slower one
  EXPECT_EQ(simulate(model).step_s, simulate(model).step_s);
  model.link.shares_egress = false;  // nobody to share with
  const double apart = simulate(model).step_s;
  model.link.share_spread = 0;
  EXPECT_EQ(simulate(model).step_s, apart);
}

TEST(Simulation, ReplicasAddARing) {
  auto model = pipeline(ScheduleKind::k1f1b, 2, 4, 1, 2);
  model.has_global_norm = false;
  const double alone = simulate(model).step_s;
  model.replicas = 4;
  model.stages[0].gradient_bytes = 100;
  model.stages[1].gradient_bytes = 10;

  const auto simulation = simulate(model);

  EXPECT_DOUBLE_EQ(simulation.step_s, alone + 2 * 3 / 4.0 * 100);
  EXPECT_EQ(simulation.simulated_replicas, 1);
  EXPECT_DOUBLE_EQ(simulation.ranks[1].exchange_s, 2 * 3 / 4.0 * 10);
}

TEST(Simulation, GradientsAreExchangedOnceMessagesHaveLeft) {
  // The last stage computes until 5, sends until 6, and its ring takes 10 s.
  auto model = pipeline(ScheduleKind::k1f1b, 2, 1, 1, 2, 1);
  model.has_global_norm = false;
  model.replicas = 2;
  model.stages[1].gradient_bytes = 10;

  EXPECT_DOUBLE_EQ(simulate(model).step_s, 16);
}

TEST(Simulation, SharedEmbeddingsAreExchangedByTheEndsOfThePipeline) {
  auto model = pipeline(ScheduleKind::k1f1b, 3, 4, 1, 2);
  model.has_global_norm = false;
  const double alone = simulate(model).step_s;
  model.tied_bytes = 50;

  const auto simulation = simulate(model);

  EXPECT_DOUBLE_EQ(simulation.step_s, alone + 50);
  EXPECT_DOUBLE_EQ(simulation.ranks[0].exchange_s, 50);
  EXPECT_DOUBLE_EQ(simulation.ranks[1].exchange_s, 0);
  EXPECT_DOUBLE_EQ(simulation.ranks[2].exchange_s, 50);
}

TEST(Simulation, AGlobalNormMakesEveryRankWait) {
  auto model = pipeline(ScheduleKind::k1f1b, 2, 4, 1, 2);
  model.steps = 3;
  model.stages[1].optimizer_s = 2;
  const double together = simulate(model).step_s;
  model.has_global_norm = false;
  const double apart = simulate(model).step_s;

  // The first stage computes its first forward pass while the last one still optimizes; without
  // the norm that optimizer runs while the last gradient travels to the first stage.
  EXPECT_DOUBLE_EQ(together, 5 * 3 + 2 - 1);
  EXPECT_DOUBLE_EQ(apart, 5 * 3);
}

TEST(Simulation, AFasterLinkIsNeverSlower) {
  for (const auto schedule : kSchedules)
    for (const bool is_shared : {false, true}) {
      auto model = pipeline(schedule, 4, 8, 0.02, 0.04, 200000);
      model.link.shares_egress = is_shared;
      double slower = std::numeric_limits<double>::infinity();
      for (const double mbit : {10, 50, 100, 300, 500, 1000, 10000}) {
        model.link.rate_bits_s = mbit * 1e6;
        const double step = simulate(model).step_s;
        EXPECT_LE(step, slower + 1e-9) << mbit;
        slower = step;
      }
      EXPECT_NEAR(slower, 11 * 0.06, 0.01);
    }
}

TEST(Simulation, NoStepIsFasterThanItsBounds) {
  for (const auto schedule : kSchedules)
    for (const double bytes : {0.0, 0.01, 1.0, 30.0})
      for (const bool is_shared : {false, true}) {
        auto model = pipeline(schedule, 4, 8, 1, 2, bytes);
        model.link.shares_egress = is_shared;
        const auto simulation = simulate(model);
        const auto bounds = step_bounds(model);

        EXPECT_GE(simulation.step_s, bounds.compute_s - 1e-9);
        EXPECT_GE(simulation.step_s, bounds.link_s - 1e-9);
      }
}

TEST(Simulation, WhatBoundsAStepIsNamed) {
  const auto named = [](const PipelineModel& model) {
    return bounding_resource(step_bounds(model), simulate(model));
  };
  EXPECT_EQ(named(pipeline(ScheduleKind::k1f1b, 4, 32, 1, 2, 0.01)), "compute");
  EXPECT_EQ(named(pipeline(ScheduleKind::k1f1b, 4, 32, 1, 2, 30)), "link");
  EXPECT_EQ(named(pipeline(ScheduleKind::k1f1b, 8, 1, 1, 2, 0.01)), "pipeline fill");
  auto replicated = pipeline(ScheduleKind::k1f1b, 1, 1, 1, 2);
  replicated.replicas = 2;
  replicated.stages[0].gradient_bytes = 100;
  EXPECT_EQ(named(replicated), "gradient exchange");
}

TEST(Simulation, LinksCountTheirBytesAndTheirTime) {
  const auto simulation = simulate(pipeline(ScheduleKind::kGpipe, 3, 5, 1, 2, 0.5));

  ASSERT_EQ(simulation.links.size(), 4);
  for (const auto& link : simulation.links) {
    EXPECT_DOUBLE_EQ(link.bytes, 5 * 0.5);
    EXPECT_NEAR(link.busy_s, 5 * 0.5, 1e-9);
    EXPECT_EQ(std::abs(link.from - link.to), 1);
  }
}

TEST(Simulation, ReplicasThatDifferAreAllSimulated) {
  auto model = pipeline(ScheduleKind::k1f1b, 4, 8, 0.02, 0.04, 0.001);
  model.replicas = 20;
  model.steps = 2;
  const double alike = simulate(model).step_s;
  model.compute_jitter = 0.1;

  const auto first = simulate(model), second = simulate(model);

  EXPECT_EQ(first.simulated_replicas, 20);
  EXPECT_EQ(first.ranks.size(), 80);
  EXPECT_EQ(first.step_ends, second.step_ends);
  EXPECT_GT(first.step_s, alike);  // the slowest replica holds up all
  model.seed = 1;
  EXPECT_NE(simulate(model).step_s, first.step_s);
}

TEST(Simulation, ThousandsOfRanksTakeSixEventsAMicroBatchEach) {
  auto model = pipeline(ScheduleKind::k1f1b, 64, 16, 0.02, 0.04, 0.001);
  model.replicas = 40;
  model.compute_jitter = 0.05;

  const auto simulation = simulate(model);

  EXPECT_EQ(simulation.ranks.size(), 40 * 64);
  EXPECT_NEAR(static_cast<double>(simulation.events), 40 * 64 * 16 * 6, 40 * 64 * 16);
}

TEST(Simulation, TimelineIsReadByTraceViewers) {
  auto model = pipeline(ScheduleKind::k1f1b, 2, 3, 1, 2, 1);
  model.stages[1].optimizer_s = 1;
  model.keeps_timeline = true;

  const auto simulation = simulate(model);
  const auto events = nlohmann::json::parse(chrome_trace(simulation.timeline));

  std::map<std::pair<int64_t, std::string>, double> last;
  std::map<std::string, int> counts;
  for (const auto& event : events) {
    EXPECT_EQ(event["ph"], "X");
    const std::pair<int64_t, std::string> row{event["pid"], event["tid"]};
    EXPECT_GE(event["ts"].get<double>(), last[row] - 1e-6) << "overlaps in " << row.second;
    last[row] = event["ts"].get<double>() + event["dur"].get<double>();
    EXPECT_LE(last[row], simulation.total_s() * 1e6 + 1e-6);
    ++counts[row.second];
  }
  EXPECT_EQ(counts["2. forward-compute"], 2 * 3);
  EXPECT_EQ(counts["3. forward-send"], 3);
  EXPECT_EQ(counts["6. backward-send"], 3);
  EXPECT_EQ(counts["7. optimizer-step"], 1);
}

TEST(Simulation, AModelThatMakesNoSenseIsRefused) {
  auto model = pipeline(ScheduleKind::k1f1b, 2, 0, 1, 2);
  EXPECT_THROW(simulate(model), ConfigError);
  model.micro_batches = 1;
  model.stages[1].forward_s = -1;
  EXPECT_THROW(simulate(model), ConfigError);
  model.stages[1].forward_s = 1;
  model.link.rate_bits_s = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THROW(simulate(model), ConfigError);
}

}  // namespace
}  // namespace qtk::dist
