// What every scheduler must satisfy:  QTK_INSTANTIATE_CONTRACT(SchedulerContract, "cosine");
#pragma once

#include <qtk/testing/config_error.hpp>
#include <qtk/testing/contract_subject.hpp>
#include <qtk/testing/global_state.hpp>
#include <qtk/testing/option_contract.hpp>
#include <qtk/testing/plugin_under_test.hpp>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

namespace qtk::testing {

class SchedulerContract : public ::testing::TestWithParam<ContractSubject> {
 protected:
  static constexpr int64_t kSteps = 40;

  const PluginUnderTest plugin_ = plugin_under_test<Scheduler>(GetParam().id);
  const OptionValues options_ = parse_options(plugin_, GetParam().options);
  const std::vector<LinearSite> sites_ = {
      {"model.layers.0.self_attn.q_proj", 0, 0, "q_proj", 32, 64},
      {"model.layers.1.mlp.up_proj", 1, 1, "up_proj", 128, 64},
      {"model.layers.2.mlp.down_proj", 2, 2, "down_proj", 64, 128}};
  const SensitivityTable sensitivity_{"hessian_trace",
                                      "model",
                                      "data",
                                      {{sites_[0].name, 0.5, 0.01, sites_[0].numel()},
                                       {sites_[1].name, 4.0, 0.01, sites_[1].numel()},
                                       {sites_[2].name, 20.0, 0.01, sites_[2].numel()}}};

  std::shared_ptr<Scheduler> prepared(const OptionValues& values) const {
    auto scheduler = make<Scheduler>(plugin_, values);
    scheduler->prepare({kSteps, sites_, &sensitivity_});
    return scheduler;
  }

  /// Calls `visit(knob, site)` for every value that a run would ask for at one step.
  template <class Visit>
  void for_each_value(const Scheduler& scheduler, Visit&& visit) const {
    for (const KnobSpec& knob : scheduler.knobs()) {
      if (!knob.is_per_site)
        visit(knob.name, nullptr);
      else
        for (const LinearSite& site : sites_) visit(knob.name, &site);
    }
  }

  std::vector<double> values_at(const Scheduler& scheduler, int64_t step) const {
    std::vector<double> values;
    for_each_value(scheduler, [&](const std::string& knob, const LinearSite* site) {
      values.push_back(scheduler.value(knob, step, site));
    });
    return values;
  }

  Behaviour observe(const OptionValues& values) const {
    const auto scheduler = prepared(values);
    Behaviour seen;
    for (const KnobSpec& knob : scheduler->knobs())
      seen.see(knob.name + " " + std::to_string(knob.initial) + " " +
               std::to_string(knob.is_per_site));
    for (int64_t step = 0; step <= kSteps; ++step)
      seen.see(at::tensor(values_at(*scheduler, step), at::kDouble));
    return seen;
  }
};

// The first test, because what another one changed would look like the usual state.
TEST_P(SchedulerContract, ProcessStateIsLeftAlone) {
  const GlobalState before;

  observe(options_);

  EXPECT_EQ(before.changes(), "");
}

TEST_P(SchedulerContract, DefaultOptionsAreValid) { EXPECT_NO_THROW(make<Scheduler>(plugin_, {})); }

TEST_P(SchedulerContract, KnobsHaveDifferentNames) {
  const auto knobs = prepared(options_)->knobs();

  std::set<std::string> names;
  for (const KnobSpec& knob : knobs) names.insert(knob.name);
  ASSERT_FALSE(knobs.empty());
  EXPECT_EQ(names.size(), knobs.size());
  EXPECT_FALSE(names.contains(""));
}

TEST_P(SchedulerContract, EveryValueIsFinite) {
  const auto scheduler = prepared(options_);
  for (int64_t step = 0; step <= 2 * kSteps; ++step)
    for (const double value : values_at(*scheduler, step))
      EXPECT_TRUE(std::isfinite(value)) << "step " << step;
}

TEST_P(SchedulerContract, ValueDependsOnTheStepAndNotOnEarlierCalls) {
  const auto in_order = prepared(options_), backwards = prepared(options_);
  std::vector<std::vector<double>> expected;
  for (int64_t step = 0; step <= kSteps; ++step) expected.push_back(values_at(*in_order, step));

  for (int64_t step = kSteps; step >= 0; --step)
    EXPECT_EQ(values_at(*backwards, step), expected[static_cast<size_t>(step)]) << "step " << step;
}

TEST_P(SchedulerContract, UnknownKnobIsRefused) {
  EXPECT_THROW(prepared(options_)->value("no such knob", 0, &sites_[0]), std::exception);
}

TEST_P(SchedulerContract, EveryOptionMatters) {
  check_every_option_matters(plugin_, GetParam(),
                             [this](const OptionValues& values) { return observe(values); });
}

TEST_P(SchedulerContract, ValuesOutsideOfDocumentedBoundsAreRefused) {
  check_bounds_are_enforced(plugin_);
}

}  // namespace qtk::testing
