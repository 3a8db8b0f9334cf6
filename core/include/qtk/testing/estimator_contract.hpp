// What every estimator must satisfy:  QTK_INSTANTIATE_CONTRACT(EstimatorContract, "hutchinson");
#pragma once

#include <qtk/testing/config_error.hpp>
#include <qtk/testing/contract_subject.hpp>
#include <qtk/testing/global_state.hpp>
#include <qtk/testing/option_contract.hpp>
#include <qtk/testing/plugin_under_test.hpp>
#include <qtk/testing/quadratic_probe.hpp>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

namespace qtk::testing {

class EstimatorContract : public ::testing::TestWithParam<ContractSubject> {
 protected:
  const PluginUnderTest plugin_ = plugin_under_test<Estimator>(GetParam().id);
  const OptionValues options_ = parse_options(plugin_, GetParam().options);

  SensitivityTable measure(ModelProbe& probe) const {
    return make<Estimator>(plugin_, options_)->estimate(probe);
  }
  SensitivityTable measure(QuadraticLoss loss) const {
    QuadraticProbe probe(std::move(loss));
    return measure(probe);
  }
  static void see(const SensitivityTable& table, Behaviour& seen) {
    seen.see(table.quantity);
    for (const auto& entry : table.entries) {
      seen.see(entry.site);
      for (const auto& flag : entry.flags) seen.see(flag);
      seen.see(at::tensor({entry.value, entry.standard_error, entry.sampling_error}, at::kDouble));
    }
  }
  Behaviour observe(const OptionValues& values) const {
    QuadraticProbe probe(random_quadratic());
    Behaviour seen;
    see(make<Estimator>(plugin_, values)->estimate(probe), seen);
    seen.see("gradient passes " + std::to_string(probe.gradient_passes));
    return seen;
  }
  static void expect_same(const SensitivityTable& found, const SensitivityTable& expected) {
    Behaviour a, b;
    see(found, a);
    see(expected, b);
    EXPECT_TRUE(a == b);
  }
};

// The first test, because what another one changed would look like the usual state.
TEST_P(EstimatorContract, ProcessStateIsLeftAlone) {
  const GlobalState before;

  observe(options_);

  EXPECT_EQ(before.changes(), "");
}

TEST_P(EstimatorContract, DefaultOptionsAreValid) { EXPECT_NO_THROW(make<Estimator>(plugin_, {})); }

TEST_P(EstimatorContract, EverySiteHasOneFiniteRow) {
  const auto loss = random_quadratic();

  const auto table = measure(loss);

  EXPECT_NE(table.quantity, "");
  ASSERT_EQ(table.entries.size(), loss.sites.size());
  for (const auto& site : loss.sites) {
    const auto entry = table.find(site.name);
    ASSERT_TRUE(entry) << site.name;
    EXPECT_TRUE(std::isfinite(entry->value)) << site.name;
    EXPECT_GE(entry->standard_error, 0) << site.name;
    EXPECT_GE(entry->sampling_error, 0) << site.name;
    EXPECT_EQ(entry->num_parameters, site.numel()) << site.name;
    EXPECT_EQ(std::ranges::count(entry->flags, "negative"), entry->value < 0) << site.name;
  }
}

TEST_P(EstimatorContract, EqualRunsGiveEqualTables) {
  expect_same(measure(random_quadratic()), measure(random_quadratic()));
}

TEST_P(EstimatorContract, OrderOfTheSitesDoesNotMatter) {
  const auto loss = random_quadratic();
  auto turned = loss;  // two halves of equal shape change places
  std::ranges::rotate(turned.sites, turned.sites.begin() + 2);
  turned.weights = loss.weights.roll({44});
  for (auto& hessian : turned.hessians) hessian = hessian.roll({44, 44}, {0, 1});
  for (auto& gradient : turned.gradients) gradient = gradient.roll({44}, {1});

  const auto table = measure(loss), of_turned = measure(turned);

  for (const auto& entry : table.entries) {
    const auto other = of_turned.find(entry.site);
    ASSERT_TRUE(other);
    EXPECT_NEAR(other->value, entry.value, 1e-9 * (1 + std::abs(entry.value))) << entry.site;
    EXPECT_NEAR(other->standard_error, entry.standard_error, 1e-9) << entry.site;
  }
}

TEST_P(EstimatorContract, TheMeanIsOverTheBatchesThatThereAre) {
  auto loss = random_quadratic();
  for (auto& hessian : loss.hessians) hessian = at::diag(loss.hessians[0].diagonal());
  for (auto& gradient : loss.gradients) gradient = loss.gradients[0];
  auto first = loss;  // diagonal Hessians: random signs tell the trace with little noise
  first.hessians.resize(1);
  first.gradients.resize(1);

  const auto of_three = measure(loss), of_one = measure(first);

  for (const auto& entry : of_one.entries)
    EXPECT_NEAR(of_three.find(entry.site)->value, entry.value, 0.2 * std::abs(entry.value));
}

TEST_P(EstimatorContract, FinishedPartsAreNotComputedAgain) {
  QuadraticProbe first(random_quadratic());
  const auto table = measure(first);
  QuadraticProbe second(random_quadratic());
  second.journal = first.journal;

  expect_same(measure(second), table);

  EXPECT_EQ(second.gradient_passes, 0);
}

TEST_P(EstimatorContract, InterruptedItEndsAsIfUndisturbed) {
  QuadraticProbe undisturbed(random_quadratic());
  const auto table = measure(undisturbed);
  for (int64_t units = 0; units < std::ssize(undisturbed.journal); ++units) {
    QuadraticProbe cut(random_quadratic()), resumed(random_quadratic());
    cut.units_before_failure = units;
    EXPECT_THROW(measure(cut), Error);
    resumed.journal = cut.journal;

    expect_same(measure(resumed), table);

    EXPECT_LE(resumed.gradient_passes, undisturbed.gradient_passes);
  }
}

TEST_P(EstimatorContract, AValueThatIsNotFiniteIsReported) {
  auto loss = random_quadratic();
  for (auto& hessian : loss.hessians) hessian.fill_(std::numeric_limits<double>::quiet_NaN());

  for (const auto& entry : measure(loss).entries) {
    EXPECT_FALSE(std::isfinite(entry.value));
    EXPECT_EQ(std::ranges::count(entry.flags, "not_finite"), 1) << entry.site;
  }
}

TEST_P(EstimatorContract, EveryOptionMatters) {
  check_every_option_matters(plugin_, GetParam(),
                             [this](const OptionValues& values) { return observe(values); });
}

TEST_P(EstimatorContract, ValuesOutsideOfDocumentedBoundsAreRefused) {
  check_bounds_are_enforced(plugin_);
}

}  // namespace qtk::testing
