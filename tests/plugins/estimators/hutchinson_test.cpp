#include "softmax_regression.hpp"
#include "trace/moments.hpp"

#include <qtk/testing/estimator_contract.hpp>

QTK_INSTANTIATE_CONTRACT(EstimatorContract,
                         {.id = "hutchinson",
                          .options = "{num_query: 12}",
                          .tested_elsewhere = {{"vectors_at_once", "VectorsAtOnceChangeNothing"}},
                          .matters_with = {{"hvp_step", "{hvp: differences}"},
                                           {"target_error", "{num_query: 40}"}}});
QTK_INSTANTIATE_CONTRACT(EstimatorContract,
                         {.id = "hutchinson",
                          .options = "{num_sketch: 3, num_query: 12}",
                          .tested_elsewhere = {{"vectors_at_once", "VectorsAtOnceChangeNothing"}},
                          .matters_with = {{"hvp_step", "{hvp: differences}"},
                                           {"target_error", "{num_query: 40}"}}});
QTK_INSTANTIATE_CONTRACT(EstimatorContract,
                         {.id = "hutchinson",
                          .options = "{mode: tensor, num_query: 12}",
                          .tested_elsewhere = {{"vectors_at_once", "VectorsAtOnceChangeNothing"},
                                               {"num_sketch", "TheSketchTakesOutWhatSitesShare"},
                                               {"balance", "BalanceKeepsSmallTracesAboveTheNoise"}},
                          .matters_with = {{"hvp_step", "{hvp: differences}"}}});

namespace qtk {
namespace {

using testing::make;
using testing::QuadraticProbe;
using testing::random_quadratic;
using testing::SoftmaxRegression;

class HutchinsonMode : public ::testing::TestWithParam<const char*> {
 protected:
  std::string options(const std::string& more) const {
    return std::string("{mode: ") + GetParam() + ", " + more + "}";
  }
};
INSTANTIATE_TEST_SUITE_P(Both, HutchinsonMode, ::testing::Values("all", "tensor"),
                         [](const auto& mode) { return std::string(mode.param); });

TEST_P(HutchinsonMode, ValuesLieWithinTheirStandardErrorsOfTheTrace) {
  QuadraticProbe probe(random_quadratic());

  const auto table = make<Estimator>("hutchinson", options("num_query: 2000"))->estimate(probe);

  for (int64_t site = 0; site < 4; ++site) {
    const auto& entry = table.entries[static_cast<size_t>(site)];
    EXPECT_LT(std::abs(entry.value - probe.trace(site)), 4 * entry.standard_error) << entry.site;
    EXPECT_LT(entry.standard_error, 0.02 * entry.value) << entry.site;
    EXPECT_GT(entry.standard_error, 0);
  }
}

// Against the deviation of many estimates from one another.
TEST_P(HutchinsonMode, TheStandardErrorIsThatOfRepeatedEstimates) {
  auto loss = random_quadratic();
  trace::Moments values, errors;
  for (int64_t repetition = 0; repetition < 60; ++repetition) {
    loss.sites[0].name = "repetition " + std::to_string(repetition);  // signs of its own
    QuadraticProbe probe(loss);
    const auto entry =
        make<Estimator>("hutchinson", options("num_query: 20"))->estimate(probe).entries[0];
    values.add(entry.value);
    errors.add(entry.standard_error * entry.standard_error);
  }

  EXPECT_NEAR(std::sqrt(errors.mean() / values.variance()), 1, 0.3);
}

TEST_P(HutchinsonMode, StopsAtTheWantedErrorAndSaysWhereItWasMissed) {
  QuadraticProbe probe(random_quadratic()), never(random_quadratic());

  const auto table = make<Estimator>("hutchinson", options("num_query: 100000, target_error: 0.05"))
                         ->estimate(probe);
  const auto missed =
      make<Estimator>("hutchinson", options("num_query: 4, target_error: 1e-6"))->estimate(never);

  EXPECT_LT(probe.products, 2000);
  for (const auto& entry : table.entries)
    EXPECT_EQ(entry.standard_error > 0.05 * entry.value,
              std::ranges::count(entry.flags, "target_error_missed") == 1);
  for (const auto& entry : missed.entries)
    EXPECT_EQ(entry.flags, std::vector<std::string>{"target_error_missed"});
}

TEST_P(HutchinsonMode, VectorsAtOnceChangeNothing) {
  QuadraticProbe one(random_quadratic()), four(random_quadratic());

  const auto expected = make<Estimator>("hutchinson", options("num_query: 15"))->estimate(one);
  const auto found =
      make<Estimator>("hutchinson", options("num_query: 15, vectors_at_once: 4"))->estimate(four);

  for (size_t i = 0; i < 4; ++i)
    EXPECT_NEAR(found.entries[i].value, expected.entries[i].value, 1e-10);
}

TEST(Hutchinson, VectorsAtOnceChangeNothingWithASketch) {
  QuadraticProbe one(random_quadratic()), four(random_quadratic());

  const auto expected =
      make<Estimator>("hutchinson", "{num_query: 5, num_sketch: 6}")->estimate(one);
  const auto found =
      make<Estimator>("hutchinson", "{num_query: 5, num_sketch: 6, vectors_at_once: 4}")
          ->estimate(four);

  for (size_t i = 0; i < 4; ++i)
    EXPECT_NEAR(found.entries[i].value, expected.entries[i].value, 1e-9);
}

TEST_P(HutchinsonMode, NegativeTracesAreReportedAsMeasured) {
  auto loss = random_quadratic();
  for (auto& hessian : loss.hessians) hessian = -hessian;
  loss.quartic = 0;
  QuadraticProbe probe(loss);

  const auto table = make<Estimator>("hutchinson", options("num_query: 200"))->estimate(probe);

  for (const auto& entry : table.entries) {
    EXPECT_LT(entry.value, 0);
    EXPECT_EQ(entry.flags, std::vector<std::string>{"negative"});
  }
}

/// Blocks that share three strong directions, of sizes that differ a thousandfold.
testing::QuadraticLoss shared_directions() {
  auto loss = random_quadratic();
  loss.quartic = 0;
  const auto directions = testing::gaussian({3, 88}, /*seed=*/8).to(at::kDouble);
  auto sizes = at::ones({88}, at::kDouble);
  sizes.slice(0, 0, 20).fill_(1e-3);
  for (size_t b = 0; b < 3; ++b) {
    loss.hessians[b] = 0.01 * loss.hessians[b] + at::mm(directions.t(), directions);
    loss.hessians[b] = sizes.sqrt().unsqueeze(1) * loss.hessians[b] * sizes.sqrt();
    loss.gradients[b] = loss.gradients[b] * sizes.sqrt();
  }
  loss.weights.zero_();
  return loss;
}

SensitivityTable measure_shared(const std::string& options) {
  QuadraticProbe probe(shared_directions());
  auto table = make<Estimator>("hutchinson", options)->estimate(probe);
  for (int64_t site = 0; site < 4; ++site) {
    const auto& entry = table.entries[static_cast<size_t>(site)];
    EXPECT_LT(std::abs(entry.value - probe.trace(site)), 4 * entry.standard_error) << entry.site;
  }
  return table;
}

TEST(Hutchinson, TheSketchTakesOutWhatSitesShare) {
  const auto plain = measure_shared("{num_query: 200, num_sketch: 0}"),
             sketched = measure_shared("{num_query: 200, num_sketch: 4}");

  for (size_t site = 0; site < 4; ++site)
    EXPECT_LT(sketched.entries[site].standard_error, 0.1 * plain.entries[site].standard_error);
}

TEST(Hutchinson, BalanceKeepsSmallTracesAboveTheNoise) {
  const auto plain = measure_shared("{num_query: 200, balance: false}"),
             balanced = measure_shared("{num_query: 200}");

  EXPECT_LT(balanced.entries[0].standard_error, 0.2 * plain.entries[0].standard_error);
}

TEST(Hutchinson, ASketchOfAllDimensionsIsExact) {
  QuadraticProbe probe(random_quadratic());

  const auto table =
      make<Estimator>("hutchinson", "{num_query: 2, num_sketch: 88}")->estimate(probe);

  for (int64_t site = 0; site < 4; ++site)
    EXPECT_NEAR(table.entries[static_cast<size_t>(site)].value, probe.trace(site), 1e-8);
}

TEST(Hutchinson, OneProductServesAllSites) {
  QuadraticProbe all(random_quadratic()), each(random_quadratic());

  make<Estimator>("hutchinson", "{mode: all, num_query: 10}")->estimate(all);
  make<Estimator>("hutchinson", "{mode: tensor, num_query: 10}")->estimate(each);

  EXPECT_EQ(all.products, 3 * 10);
  EXPECT_EQ(each.products, 4 * 3 * 10);
}

TEST(Hutchinson, FindsTheTraceOfASoftmaxClassifier) {
  SoftmaxRegression probe(testing::four_classes(), {1});

  const auto entry =
      make<Estimator>("hutchinson", "{num_query: 4000}")->estimate(probe).entries.at(0);

  EXPECT_NEAR(entry.value, 3.540529155, 4 * entry.standard_error);
}

}  // namespace
}  // namespace qtk
