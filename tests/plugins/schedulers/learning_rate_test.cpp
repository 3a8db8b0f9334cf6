// The schedules of the learning rate against the published multipliers.
#include <qtk/testing/config_error.hpp>
#include <qtk/testing/plugin_under_test.hpp>
#include <qtk/testing/scheduler_contract.hpp>

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

QTK_INSTANTIATE_CONTRACT(SchedulerContract, "constant");
QTK_INSTANTIATE_CONTRACT(SchedulerContract, "linear");
QTK_INSTANTIATE_CONTRACT(SchedulerContract, "cosine");
QTK_INSTANTIATE_CONTRACT(SchedulerContract, "wsd");
QTK_INSTANTIATE_CONTRACT(SchedulerContract, "two_stage");

namespace qtk {
namespace {

using Points = std::vector<std::pair<int64_t, double>>;

void expect_multipliers(const std::string& id, const std::string& options, const Points& points,
                        double tolerance = 1e-8) {
  SCOPED_TRACE(id + " " + options);
  const auto scheduler = testing::make<Scheduler>(id, options);
  scheduler->prepare({.total_steps = 1000});
  for (const auto& [step, expected] : points)
    EXPECT_NEAR(scheduler->value("lr", step, nullptr), expected, tolerance) << "step " << step;
}

TEST(LearningRate, WsdGivesThePublishedMultipliers) {
  expect_multipliers("wsd", "{warmup_ratio: 0.05, decay_ratio: 0.1, min_ratio: 0.1}",
                     {{0, 0},
                      {10, .2},
                      {25, .5},
                      {49, .98},
                      {50, 1},
                      {500, 1},
                      {899, 1},
                      {900, 1},
                      {925, .868198052},
                      {950, .55},
                      {975, .231801948},
                      {999, .100222048},
                      {1000, .1}});
}

TEST(LearningRate, TwoStageGivesThePublishedMultipliers) {
  expect_multipliers("two_stage", "{warmup_ratio: 0.05, stage_ratio: 0.5, min_ratio: 0.1}",
                     {{0, 0},
                      {25, .5},
                      {50, 1},
                      {250, .905113229},
                      {499, .588643540},
                      {500, .391636191},
                      {750, .163563936},
                      {999, .066701641},
                      {1000, .0667}});
}

TEST(LearningRate, TwoStageOnALineGivesThePublishedMultipliersOfCustom) {
  expect_multipliers("two_stage",
                     "{warmup_ratio: 0.05, stage_ratio: 0.5, second_stage: 0.666, decay: linear}",
                     {{0, 0},
                      {25, .5},
                      {50, 1},
                      {250, .8},
                      {499, .551},
                      {500, .333},
                      {750, .1665},
                      {999, .000666},
                      {1000, 0}});
}

TEST(LearningRate, OthersRiseToOneAndEndAtTheirFloor) {
  expect_multipliers("constant", "{warmup_ratio: 0.1}",
                     {{0, 0}, {50, .5}, {100, 1}, {999, 1}, {2000, 1}});
  expect_multipliers("linear", "{warmup_ratio: 0.1, min_ratio: 0.2}",
                     {{50, .5}, {100, 1}, {550, .6}, {1000, .2}, {2000, .2}});
  expect_multipliers("cosine", "{warmup_ratio: 0, min_ratio: 0.2}",
                     {{0, 1}, {250, .882842712}, {500, .6}, {1000, .2}, {2000, .2}});
}

TEST(LearningRate, RatiosThatDoNotFitAreRefused) {
  EXPECT_CONFIG_ERROR("wsd", "{warmup_ratio: 0.6, decay_ratio: 0.6}", "add up to 1.2");
  EXPECT_CONFIG_ERROR("two_stage", "{warmup_ratio: 0.6}", "within the warmup");
  EXPECT_CONFIG_ERROR("cosine", "{min_ratio: 1.5}", "outside [0, 1]");
}

}  // namespace
}  // namespace qtk
