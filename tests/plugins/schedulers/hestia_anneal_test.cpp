#include "../../../plugins/schedulers/hestia_anneal/trace_scores.hpp"

#include <qtk/testing/config_error.hpp>
#include <qtk/testing/plugin_under_test.hpp>
#include <qtk/testing/scheduler_contract.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

QTK_INSTANTIATE_CONTRACT(SchedulerContract,
                         {.id = "hestia_anneal", .matters_with = {{"min_temp", "{init_temp: 1}"}}});
QTK_INSTANTIATE_CONTRACT(SchedulerContract,
                         {.id = "hestia_anneal",
                          .options = "{compat: v0, style: hessian}",
                          .tested_elsewhere = {{"solid_ratio", "V0RefusesWhatItDoesNotHave"},
                                               {"min_temp", "V0RefusesWhatItDoesNotHave"},
                                               {"centred", "V0RefusesWhatItDoesNotHave"},
                                               {"compat", "the other subject"}}});

namespace qtk {
namespace {

using hestia_anneal::trace_scores;
using testing::make;

constexpr double kExact = 1e-8;

/// The published table of traces, one layer each.
const std::vector<double> kTraces = {12.5, 340, 1500, 85, 22000, .9, 450, 610};

struct Layers {
  std::vector<LinearSite> sites;
  SensitivityTable table{"hessian_trace", "model", "data", {}};

  explicit Layers(const std::vector<double>& traces) {
    for (size_t i = 0; i < traces.size(); ++i) {
      sites.push_back({.name = "layer" + std::to_string(i), .out_features = 8, .in_features = 8});
      table.entries.push_back({sites.back().name, traces[i], 0, 64});
    }
  }
};

std::shared_ptr<Scheduler> prepared(const std::string& options, const Layers* layers = nullptr,
                                    int64_t steps = 100) {
  auto scheduler = make<Scheduler>("hestia_anneal", options);
  SchedulePlan plan{.total_steps = steps};
  if (layers) plan.sites = layers->sites, plan.sensitivity = &layers->table;
  scheduler->prepare(plan);
  return scheduler;
}

void expect_curve(const Scheduler& scheduler, const std::string& knob,
                  const std::vector<int64_t>& steps, const std::vector<double>& expected,
                  const LinearSite* site = nullptr) {
  ASSERT_EQ(steps.size(), expected.size());
  for (size_t i = 0; i < steps.size(); ++i)
    EXPECT_NEAR(scheduler.value(knob, steps[i], site), expected[i], kExact) << "step " << steps[i];
}

const std::vector<int64_t> kReleasedSteps = {0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 99, 100, 110};

TEST(HestiaAnneal, GivesThePublishedTemperatures) {
  expect_curve(*prepared("{compress_ratio: 0.2}"), "temperature", kReleasedSteps,
               {.3, .3, .3, .288581930, .256066017, .207402515, .15, .092597485, .043933983,
                .011418070, .000115645, 0, 0});
  expect_curve(*prepared("{compress_ratio: 0}"), "temperature", kReleasedSteps,
               {.3, .292658477, .271352549, .238167788, .196352549, .15, .103647451, .061832212,
                .028647451, .007341523, .000074016, 0, 0});
  expect_curve(*prepared("{compress_ratio: 0.3}"), "temperature", kReleasedSteps,
               {.3, .3, .3, .3, .285145330, .243523470, .183378140, .116621860, .056476530,
                .014854670, .000151040, 0, 0});
}

TEST(HestiaAnneal, GivesThePublishedPressures) {
  expect_curve(*prepared("{compress_ratio: 0.3}"), "pressure", {0, 5, 10, 15, 20, 25, 30, 99},
               {0, .166666667, .333333333, .5, .666666667, .833333333, 1, 1});
  expect_curve(*prepared("{compress_ratio: 0.2, compat: v0}"), "pressure",
               {0, 1, 5, 10, 15, 19, 20, 30}, {0, .05, .25, .5, .75, .95, 1, 1});
  expect_curve(*prepared("{compress_ratio: 0}"), "pressure", {0, 50}, {1, 1});
}

TEST(HestiaAnneal, SensitiveLayersStayWarmerByThePublishedFactor) {
  const Layers layers(kTraces);
  const auto scheduler = prepared("{alpha: 0.4}", &layers);
  const std::vector<int64_t> steps = {0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 99};

  expect_curve(*scheduler, "temperature", steps,
               {.419181262, .419181262, .419181262, .403227125, .357793587, .289797493, .209590631,
                .129383769, .061387675, .015954137, .000161587},
               &layers.sites[4]);
  expect_curve(*scheduler, "temperature", steps,
               {.334821214, .334821214, .334821214, .322077840, .285787782, .231475873, .167410607,
                .103345341, .049033432, .012743374, .000129068},
               &layers.sites[0]);
}

TEST(HestiaAnneal, ScoresAreThePublishedOnes) {
  const std::vector<double> kappa_1 = {.274535562, .544557579, .667221208, .424552938,
                                       .836302393, .131463543, .568645560, .594422203};
  const std::vector<double> kappa_2 = {.125267958, .588413024, .800797675, .352465103,
                                       .963099755, .022397365, .634751215, .682341697};
  for (size_t i = 0; i < kTraces.size(); ++i) {
    EXPECT_NEAR(trace_scores(kTraces, 1, 1e-12)[i], kappa_1[i], kExact) << i;
    EXPECT_NEAR(trace_scores(kTraces, 2, 1e-12)[i], kappa_2[i], kExact) << i;
  }
}

TEST(HestiaAnneal, FactorsAreThePublishedOnesOfBothCodes) {
  const Layers layers(kTraces);
  const auto expect_factors = [&](const std::string& options, const std::vector<double>& factors) {
    const auto scheduler = prepared(options, &layers);
    for (size_t i = 0; i < factors.size(); ++i)
      EXPECT_NEAR(scheduler->value("temperature", 0, &layers.sites[i]), factors[i], kExact)
          << options << " " << i;
  };

  expect_factors("{init_temp: 1, alpha: 0.4}",
                 {1.116070713, 1.243367011, 1.305894809, 1.185092908, 1.397270872, 1.053992587,
                  1.255404993, 1.268416004});
  expect_factors("{init_temp: 1, alpha: 0.5, compat: v0}",
                 {0.871736760, 0.761641894, 0.716332665, 0.808741075, 0.658262694, 0.936381995,
                  0.752523706, 0.742887171});
  expect_factors("{init_temp: 1, alpha: 0.4, compat: v0}",
                 {0.896000574, 0.804267759, 0.765758462, 0.843815698, 0.715680846, 0.948773276,
                  0.796555698, 0.788384881});
  expect_factors("{init_temp: 1, alpha: 0.5, kappa: 2, compat: v0}",
                 {0.939287210, 0.745122599, 0.670052750, 0.838422984, 0.617825096, 0.988863789,
                  0.728057240, 0.710937435});
}

TEST(HestiaAnneal, EqualTracesGiveTheSameFactorAndCentringRemovesIt) {
  const Layers layers({7, 7, 7});

  EXPECT_NEAR(prepared("{init_temp: 1, alpha: 0.5, compat: v0}", &layers)
                  ->value("temperature", 0, &layers.sites[0]),
              .778800783, kExact);
  EXPECT_NEAR(
      prepared("{init_temp: 1, centred: true}", &layers)->value("temperature", 0, &layers.sites[0]),
      1, kExact);
}

TEST(HestiaAnneal, ANegativeTraceCountsAsTheSmallestPositiveOne) {
  const std::vector<double> traces = {12.5, 340, -3, 85};
  const Layers layers(traces), clamped({12.5, 340, 12.5, 85});
  const std::vector<double> v0 = {.598062158, .675086471, .151892290, .643630582};
  const std::vector<double> released = {.610579368, .665533222, .151120555, .642915320};
  const auto scheduler = prepared("{}", &layers), expected = prepared("{}", &clamped);

  for (size_t i = 0; i < traces.size(); ++i) {
    EXPECT_NEAR(trace_scores(traces, 1, 1e-8)[i], v0[i], kExact);
    EXPECT_NEAR(trace_scores(traces, 1, 1e-12)[i], released[i], kExact);
    EXPECT_EQ(scheduler->value("temperature", 0, &layers.sites[i]),
              expected->value("temperature", 0, &clamped.sites[i]));
  }
}

TEST(HestiaAnneal, AMissingTraceLeavesTheTemperatureAlone) {
  Layers layers({1, 10, 100});
  layers.table.entries[1].value = std::nan("");
  layers.table.entries.erase(layers.table.entries.begin());

  const auto scheduler = prepared("{}", &layers);

  EXPECT_EQ(scheduler->value("temperature", 0, &layers.sites[0]), 0.3);
  EXPECT_EQ(scheduler->value("temperature", 0, &layers.sites[1]), 0.3);
  EXPECT_GT(scheduler->value("temperature", 0, &layers.sites[2]), 0.3);
}

TEST(HestiaAnneal, ATableOfAnotherModelIsRefused) {
  Layers layers({1, 10});
  for (auto& entry : layers.table.entries) entry.site = "another." + entry.site;

  EXPECT_THROW(prepared("{}", &layers), DataError);
  EXPECT_NO_THROW(prepared("{alpha: 0}", &layers));
}

TEST(HestiaAnneal, TheSolidPhaseIsHardAndTheFloorHoldsBeforeIt) {
  const auto scheduler = prepared("{compress_ratio: 0.2, solid_ratio: 0.1, min_temp: 0.05}");

  EXPECT_EQ(scheduler->value("temperature", 20, nullptr), 0.3);
  EXPECT_NEAR(scheduler->value("temperature", 55, nullptr), 0.15, kExact);
  EXPECT_EQ(scheduler->value("temperature", 89, nullptr), 0.05);
  EXPECT_EQ(scheduler->value("temperature", 90, nullptr), 0);
  EXPECT_EQ(scheduler->value("temperature", 99, nullptr), 0);
  EXPECT_EQ(scheduler->value("pressure", 99, nullptr), 1);
}

TEST(HestiaAnneal, SolidFromTheStartIsPlainStraightThroughTraining) {
  const auto scheduler = prepared("{compress_ratio: 0, solid_ratio: 1}");

  for (const int64_t step : {0, 50, 99}) {
    EXPECT_EQ(scheduler->value("temperature", step, nullptr), 0);
    EXPECT_EQ(scheduler->value("pressure", step, nullptr), 1);
  }
}

TEST(HestiaAnneal, LinearFallsOnALineAndHoldPutsItOff) {
  const auto scheduler =
      prepared("{style: linear, init_temp: 1, compress_ratio: 0.2, hold_ratio: 0.3}");

  expect_curve(*scheduler, "temperature", {0, 50, 60, 75, 100}, {1, 1, .8, .5, 0});
}

const std::vector<int64_t> kV0Steps = {0, 10, 19, 20, 30, 40, 50, 60, 70, 80, 90, 99, 100, 110};

TEST(HestiaAnneal, V0GivesThePublishedTemperaturesWithItsJump) {
  // One layer of two has k = exp(-alpha s) = 0.75 for this alpha.
  const Layers layers({1, 1});
  const std::string alpha = "alpha: 0.57536414490356180";  // -2 ln 0.75, s = 0.5
  const auto expect = [&](const std::string& style, bool is_scaled,
                          const std::vector<double>& values) {
    const auto scheduler =
        prepared("{compat: v0, init_temp: 1, style: " + style + ", " + alpha + "}", &layers);
    expect_curve(*scheduler, "temperature", kV0Steps, values,
                 is_scaled ? &layers.sites[0] : nullptr);
  };

  expect("linear", false, {1, 1, 1, 1, .875, .75, .625, .5, .375, .25, .125, .0125, 0, -.125});
  expect("linear", true, {.75, .75, .75, 1, .875, .75, .625, .5, .375, .25, .125, .0125, 0, -.125});
  expect("cosine", false,
         {1, 1, 1, 1, .961939766, .853553391, .691341716, .5, .308658284, .146446609, .038060234,
          .000385482, 0, .038060234});
  expect("cosine", true,
         {.75, .75, .75, 1, .961939766, .853553391, .691341716, .5, .308658284, .146446609,
          .038060234, .000385482, 0, .038060234});
  expect("hessian", true,
         {.75, .75, .75, .75, .721454825, .640165043, .518506287, .375, .231493713, .109834957,
          .028545175, .000289111, 0, .028545175});
}

TEST(HestiaAnneal, V0HoldsBetweenCompressionAndAnnealing) {
  const std::vector<int64_t> steps = {50, 60, 70, 80, 90, 99};
  const std::string common = "{compat: v0, init_temp: 1, compress_ratio: 0.2, hold_ratio: 0.3, ";

  expect_curve(*prepared(common + "style: cosine}"), "temperature", steps,
               {1, .904508497, .654508497, .345491503, .095491503, .000986636});
  expect_curve(*prepared(common + "style: linear}"), "temperature", steps,
               {1, .8, .6, .4, .2, .02});
  const Layers layers({1, 1});
  expect_curve(*prepared(common + "style: hessian, alpha: 0.57536414490356180}", &layers),
               "temperature", {60, 70, 80, 90, 99},
               {.678381373, .490881373, .259118627, .071618627, .000739977}, &layers.sites[0]);
}

TEST(HestiaAnneal, V0GivesThePublishedTemperaturesOfItsInitialOne) {
  const std::vector<int64_t> steps = {0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 99};
  const Layers layers({1, 1});
  const std::string common = "{compat: v0, init_temp: .350885259, style: ";

  expect_curve(*prepared(common + "cosine}"), "temperature", steps,
               {.350885259, .350885259, .350885259, .337530484, .299499303, .242581617, .175442630,
                .108303642, .051385956, .013354775, .000135260});
  // k = 1.25 at alpha = -2 ln 1.25
  expect_curve(*prepared(common + "hessian, alpha: -0.44628710262841951}", &layers), "temperature",
               steps,
               {.438606574, .438606574, .438606574, .421913105, .374374128, .303227021, .219303287,
                .135379552, .064232446, .016693469, .000169075},
               &layers.sites[0]);
}

TEST(HestiaAnneal, InitialTemperatureZeroIsTheOneClosestToTheIdentity) {
  EXPECT_NEAR(prepared("{init_temp: 0}")->value("temperature", 0, nullptr), .350885259, 1e-6);
  const std::vector<std::pair<double, double>> errors = {
      {.1, .3892006789}, {.25, .3703908884}, {.5, .3717669232}, {.75, .3912283819},
      {1, .4205286885},  {1.5, .4945169299}, {2, .5746838738},  {.350885259, .3675947463}};
  for (const auto& [temperature, error] : errors)
    EXPECT_NEAR(hestia_anneal::distance_to_identity(temperature), error, 1e-9) << temperature;
}

TEST(HestiaAnneal, RatiosAndTemperaturesThatDoNotFitAreRefused) {
  EXPECT_CONFIG_ERROR("hestia_anneal", "{compress_ratio: 0.6, solid_ratio: 0.6}", "add up to 1.2");
  EXPECT_CONFIG_ERROR("hestia_anneal", "{compress_ratio: 1.5}", "outside [0, 1]");
  EXPECT_CONFIG_ERROR("hestia_anneal", "{min_temp: 0.4}", "is not below init_temp");
  EXPECT_CONFIG_ERROR("hestia_anneal", "{style: hessian}", "compat v0 only");
}

TEST(HestiaAnneal, V0RefusesWhatItDoesNotHave) {
  EXPECT_CONFIG_ERROR("hestia_anneal", "{compat: v0, solid_ratio: 0.1}", "compat v0 has no");
  EXPECT_CONFIG_ERROR("hestia_anneal", "{compat: v0, min_temp: 0.1}", "compat v0 has no");
  EXPECT_CONFIG_ERROR("hestia_anneal", "{compat: v0, centred: true}", "compat v0 has no");
  EXPECT_CONFIG_ERROR("hestia_anneal", "{compat: v0, compress_ratio: 1}", "some annealing");
}

}  // namespace
}  // namespace qtk
