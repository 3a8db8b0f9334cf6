#include "softmax_regression.hpp"

#include <qtk/testing/estimator_contract.hpp>

QTK_INSTANTIATE_CONTRACT(EstimatorContract, "grad_norm");

namespace qtk {
namespace {

using testing::make;
using testing::SoftmaxRegression;

TEST(GradNorm, IsTheNormOfTheMeanGradientWhateverTheBatches) {
  for (const auto& batches : {std::vector<int64_t>{2}, std::vector<int64_t>{1, 1}}) {
    SoftmaxRegression probe(testing::three_classes(), batches);

    const auto entry = make<Estimator>("grad_norm")->estimate(probe).entries.at(0);

    EXPECT_NEAR(entry.value, std::sqrt(1.4815842908), 1e-8);
  }
  SoftmaxRegression four(testing::four_classes(), {1});
  EXPECT_NEAR(make<Estimator>("grad_norm")->estimate(four).entries.at(0).value,
              std::sqrt(5.575609922), 1e-8);
}

}  // namespace
}  // namespace qtk
