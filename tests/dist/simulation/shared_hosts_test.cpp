// Simulations of ranks that share the cores of a host.
#include "dist/simulation/schedule_kinds.hpp"
#include "dist/simulation/simulation.hpp"
#include "dist/simulation/step_bounds.hpp"

#include <qtk/runtime/error.hpp>

#include <gtest/gtest.h>

namespace qtk::dist {
namespace {

/// Forward 1 s, backward 2 s; messages of one byte, which takes no time on the link.
PipelineModel pipeline(ScheduleKind schedule, int64_t stages, int64_t micro_batches) {
  PipelineModel model{.schedule = schedule, .micro_batches = micro_batches};
  model.stages.assign(static_cast<size_t>(stages), {.forward_s = 1, .backward_s = 2});
  model.forward_bytes = model.backward_bytes = 1;
  return model;
}

double step_s(PipelineModel model, int64_t cores, int64_t ranks_per_host = 0) {
  model.cores = cores;
  model.ranks_per_host = ranks_per_host;
  return simulate(model).step_s;
}

TEST(SharedHosts, TwoRanksOnOneCoreTakeTwiceAsLong) {
  auto model = pipeline(ScheduleKind::k1f1b, 1, 4);
  model.replicas = 2;
  model.stages[0].optimizer_s = 5;

  EXPECT_DOUBLE_EQ(step_s(model, 0), 4 * 3 + 5);
  EXPECT_DOUBLE_EQ(step_s(model, 1), 2 * (4 * 3 + 5));
  EXPECT_DOUBLE_EQ(step_s(model, 2), 4 * 3 + 5);
  EXPECT_DOUBLE_EQ(step_s(model, 1, 1), 4 * 3 + 5);  // a host for each
}

TEST(SharedHosts, ThreeRanksOnTwoCoresAdvanceByTwoThirds) {
  auto model = pipeline(ScheduleKind::k1f1b, 1, 4);
  model.replicas = 3;

  EXPECT_DOUBLE_EQ(step_s(model, 2), 4 * 3 * 1.5);
}

TEST(SharedHosts, TheWorkForAMessageCompetesWithTheRanks) {
  // One core is never idle: 2 x 2 x (1 + 2) s of passes, 4 messages of 1 s. The second forward pass
  // of stage 0 and the first message end at 3, the first pass of stage 1 and the second message at
  // 5, its next passes at 6 and 8, its last one at 12 and the two of stage 0 at 13 and 16.
  auto model = pipeline(ScheduleKind::kGpipe, 2, 2);
  model.link.send_cpu_s_per_byte = 1;
  EXPECT_DOUBLE_EQ(step_s(model, 1), 16);

  model.cores = 1;
  EXPECT_DOUBLE_EQ(step_bounds(model).cores_s, 16);
  EXPECT_EQ(bounding_resource(step_bounds(model), simulate(model)), "cores");
}

TEST(SharedHosts, HandingOverAMessageKeepsTheRankFromItsNextPass) {
  // Stage 0: forward 0-1 and 1.5-2.5, backward 5.5-7.5 and 8-10; stage 1: forward 1-2 and 2.5-3.5,
  // backward 3.5-5.5 and 6-8. The messages leave before they are handed over.
  auto model = pipeline(ScheduleKind::kGpipe, 2, 2);
  EXPECT_DOUBLE_EQ(step_s(model, 2), 9);
  model.link.hand_over_s_per_byte = 0.5;

  EXPECT_DOUBLE_EQ(step_s(model, 2), 10);
  EXPECT_DOUBLE_EQ(step_s(model, 0), 10);
  model.cores = 1;
  EXPECT_DOUBLE_EQ(step_bounds(model).cores_s, 2 * 2 * 3 + 4 * 0.5);
}

TEST(SharedHosts, AMessageArrivesOnceItHasBeenWorkedFor) {
  // Its second on the link is over before sending and receiving, each 1 s of half a core, are.
  auto model = pipeline(ScheduleKind::k1f1b, 2, 1);
  model.link.rate_bits_s = 8;
  model.link.send_cpu_s_per_byte = model.link.receive_cpu_s_per_byte = 1;

  EXPECT_DOUBLE_EQ(step_s(model, 1), 2 * (1 + 2) + 2 * 2);
  EXPECT_DOUBLE_EQ(step_s(model, 2), 2 * (1 + 2) + 2 * 1);
}

TEST(SharedHosts, WithACoreForEveryTaskNothingChanges) {
  for (const auto schedule : kSchedules)
    for (const bool is_shared : {false, true}) {
      auto model = pipeline(schedule, 4, 8);
      model.steps = 3;
      model.stages[2].optimizer_s = 0.5;
      model.link = {.rate_bits_s = 6, .latency_s = 0.01, .shares_egress = is_shared};
      EXPECT_NEAR(step_s(model, 4), step_s(model, 0), 1e-9);
      EXPECT_NEAR(step_s(model, 1, 1), step_s(model, 0), 1e-9);

      model.link.send_cpu_s_per_byte = model.link.receive_cpu_s_per_byte = 0.5;
      EXPECT_NEAR(step_s(model, 4 + 2 * 6), step_s(model, 1000), 1e-9);  // six directions of links
    }
}

TEST(SharedHosts, MoreCoresAreNeverSlowerAndNoStepBeatsItsBounds) {
  for (const auto schedule : kSchedules)
    for (const double work : {0.0, 0.1, 1.0}) {
      auto model = pipeline(schedule, 4, 8);
      model.link = {.rate_bits_s = 6, .shares_egress = true};
      model.link.send_cpu_s_per_byte = model.link.receive_cpu_s_per_byte = work;
      double fewer = std::numeric_limits<double>::infinity();
      for (int64_t cores = 1; cores <= 16; ++cores) {
        model.cores = cores;
        const double step = simulate(model).step_s;
        const auto bounds = step_bounds(model);

        EXPECT_LE(step, fewer + 1e-9) << cores << " cores";
        EXPECT_GE(step, bounds.cores_s - 1e-9);
        EXPECT_GE(step, bounds.compute_s - 1e-9);
        EXPECT_GE(step, bounds.link_s - 1e-9);
        fewer = step;
      }
    }
}

TEST(SharedHosts, ReplicasThatShareAHostAreAllSimulated) {
  auto model = pipeline(ScheduleKind::k1f1b, 2, 4);
  model.replicas = 4;
  model.cores = 4;
  model.ranks_per_host = 2;
  EXPECT_EQ(simulate(model).simulated_replicas, 1);
  const double apart = simulate(model).step_s;

  model.ranks_per_host = 4;
  EXPECT_EQ(simulate(model).simulated_replicas, 4);
  EXPECT_DOUBLE_EQ(simulate(model).step_s, apart);  // as many cores as ranks
  model.ranks_per_host = 0;                         // all eight on four cores
  EXPECT_GT(simulate(model).step_s, apart);
}

TEST(SharedHosts, PassesOfTheTimelineLastUntilTheirEnd) {
  auto model = pipeline(ScheduleKind::k1f1b, 1, 1);
  model.replicas = 2;
  model.cores = 1;
  model.keeps_timeline = true;

  for (const auto& span : simulate(model).timeline) {
    const bool is_forward = span.lane == Lane::kForwardCompute;
    EXPECT_DOUBLE_EQ(span.start_s, is_forward ? 0 : 2);
    EXPECT_DOUBLE_EQ(span.end_s, is_forward ? 2 : 6);
  }
}

TEST(SharedHosts, MoreRanksAHostThanThereAreIsRefused) {
  auto model = pipeline(ScheduleKind::k1f1b, 2, 1);
  model.cores = 1;
  model.ranks_per_host = 3;
  EXPECT_THROW(simulate(model), ConfigError);
}

}  // namespace
}  // namespace qtk::dist
