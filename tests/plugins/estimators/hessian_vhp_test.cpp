#include "softmax_regression.hpp"

#include <qtk/testing/estimator_contract.hpp>

QTK_INSTANTIATE_CONTRACT(EstimatorContract,
                         {.id = "hessian_vhp",
                          .options = "{iterations: 12}",
                          .tested_elsewhere = {{"vectors_at_once", "VectorsAtOnceChangeNothing"}},
                          .matters_with = {{"hvp_step", "{hvp: differences}"},
                                           {"absolute", "{iterations: 2000}"}}});

namespace qtk {
namespace {

using testing::make;
using testing::QuadraticLoss;
using testing::QuadraticProbe;
using testing::reals;
using testing::site_of;
using testing::SoftmaxRegression;

QuadraticLoss one_positive_one_negative() {
  return {.sites = {site_of("model.layers.0.a", 0, 1, 1), site_of("model.layers.0.b", 0, 1, 1)},
          .weights = reals({1, 1}),
          .hessians = {at::diag(reals({1, -3}))},
          .gradients = {reals({0, 0}).view({1, 2})}};
}

double sum_of_values(const SensitivityTable& table) {
  double sum = 0;
  for (const auto& entry : table.entries) sum += entry.value;
  return sum;
}

// The absolute value per tensor makes 4 of a trace of -2.
TEST(HessianVhp, TakesAbsoluteValuesAsTheSearchToolDoes) {
  QuadraticProbe probe(one_positive_one_negative());

  const auto absolute = make<Estimator>("hessian_vhp", "{iterations: 2}")->estimate(probe);
  QuadraticProbe again(one_positive_one_negative());
  const auto plain =
      make<Estimator>("hessian_vhp", "{iterations: 2, absolute: false}")->estimate(again);

  EXPECT_NEAR(sum_of_values(absolute), 4, 1e-12);
  EXPECT_NEAR(sum_of_values(plain), -2, 1e-12);
  EXPECT_EQ(absolute.quantity, "absolute_vhp");
  EXPECT_EQ(plain.quantity, "hessian_trace");
  EXPECT_EQ(plain.entries[1].flags, std::vector<std::string>{"negative"});
}

// v'Av takes 10.5, 11.5, 5.5 and 8.5 with equal probability: mean 9, variance 5.25.
TEST(HessianVhp, MeanAndStandardErrorAgreeWithTheEnumeratedVectors) {
  QuadraticLoss loss{.sites = {site_of("model.layers.0.a", 0, 1, 3)},
                     .weights = reals({1, 1, 1}),
                     .hessians = {reals({4, 1, -.5, 1, 3, .25, -.5, .25, 2}).view({3, 3})},
                     .gradients = {reals({0, 0, 0}).view({1, 3})}};
  QuadraticProbe probe(loss);

  const auto entry =
      make<Estimator>("hessian_vhp", "{iterations: 4000}")->estimate(probe).entries.at(0);

  EXPECT_NEAR(entry.standard_error, std::sqrt(5.25 / 4000), 0.02 * std::sqrt(5.25 / 4000));
  EXPECT_NEAR(entry.value, 9, 4 * entry.standard_error);
}

// All 64 sign vectors have the mean 2.2947928894 and the variance 1.7384228554.
TEST(HessianVhp, MeanOverSamplesIsTakenBeforeTheAbsoluteValue) {
  SoftmaxRegression probe(testing::three_classes(), {1, 1});

  const auto entry =
      make<Estimator>("hessian_vhp", "{iterations: 4000}")->estimate(probe).entries.at(0);

  EXPECT_NEAR(entry.standard_error, std::sqrt(1.7384228554 / 4000), 2e-3);
  EXPECT_NEAR(entry.value, 2.2947928894, 4 * entry.standard_error);
}

TEST(HessianVhp, StopsWhenTheErrorIsSmallEnough) {
  QuadraticProbe probe(testing::random_quadratic());

  const auto table =
      make<Estimator>("hessian_vhp", "{iterations: 5000, target_error: 0.05}")->estimate(probe);

  EXPECT_LT(probe.products, 1000);
  EXPECT_GE(probe.products, 3 * 2 * 10);
}

TEST(HessianVhp, VectorsAtOnceChangeNothing) {
  QuadraticProbe one(testing::random_quadratic()), four(testing::random_quadratic());

  const auto expected = make<Estimator>("hessian_vhp", "{iterations: 15}")->estimate(one);
  const auto found =
      make<Estimator>("hessian_vhp", "{iterations: 15, vectors_at_once: 4}")->estimate(four);

  for (size_t i = 0; i < 4; ++i)
    EXPECT_NEAR(found.entries[i].value, expected.entries[i].value, 1e-10);
}

}  // namespace
}  // namespace qtk
