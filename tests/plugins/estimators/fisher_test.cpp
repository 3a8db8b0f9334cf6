#include "softmax_regression.hpp"

#include <qtk/testing/estimator_contract.hpp>

QTK_INSTANTIATE_CONTRACT(EstimatorContract,
                         {.id = "fisher", .matters_with = {{"bits", "{weighting: noise}"}}});

namespace qtk {
namespace {

using testing::make;
using testing::SoftmaxRegression;

TEST(Fisher, IsTheMeanOverSamplesOfTheSquaredNormOfTheirGradients) {
  for (const auto& batches : {std::vector<int64_t>{2}, std::vector<int64_t>{1, 1}}) {
    SoftmaxRegression probe(testing::three_classes(), batches);

    const auto entry = make<Estimator>("fisher")->estimate(probe).entries.at(0);

    EXPECT_NEAR(entry.value, 3.6500383098, 1e-8);
    // Two samples: half of their difference.
    EXPECT_NEAR(entry.sampling_error, (4.5805004266 - 2.7195761929) / 2, 1e-8);
  }
}

TEST(Fisher, NoiseWeightingMultipliesByTheVarianceOfRoundingOverTheRange) {
  SoftmaxRegression probe(testing::three_classes(), {1, 1});
  const double step = (0.5 - -0.3) / 7;  // three bits

  const auto table = make<Estimator>("fisher", "{weighting: noise, bits: 3}")->estimate(probe);

  EXPECT_EQ(table.quantity, "fit");
  EXPECT_NEAR(table.entries.at(0).value, 3.6500383098 * step * step / 12, 1e-10);
}

}  // namespace
}  // namespace qtk
