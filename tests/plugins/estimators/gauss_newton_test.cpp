#include "softmax_regression.hpp"

#include <qtk/testing/estimator_contract.hpp>

QTK_INSTANTIATE_CONTRACT(EstimatorContract, "gauss_newton");

namespace qtk {
namespace {

using testing::make;
using testing::SoftmaxRegression;

/// Of a linear classifier the Gauss-Newton matrix is the Hessian.
TEST(GaussNewton, ALinearClassifiersTraceIsThatOfItsHessian) {
  for (const auto& batches : {std::vector<int64_t>{2}, std::vector<int64_t>{1, 1}}) {
    SoftmaxRegression probe(testing::three_classes(), batches);

    const auto entry =
        make<Estimator>("gauss_newton", "{num_query: 600}")->estimate(probe).entries.at(0);

    EXPECT_NEAR(entry.value, 2.2947928894, 4 * entry.standard_error);
    EXPECT_LT(entry.standard_error, 0.1 * entry.value);
    EXPECT_GT(entry.standard_error, 0);
  }
}

TEST(GaussNewton, TheStandardErrorIsTheSpreadOfRepeatedRuns) {
  testing::QuadraticProbe probe(testing::random_quadratic());
  const auto few = make<Estimator>("gauss_newton", "{num_query: 4}")->estimate(probe);
  testing::QuadraticProbe again(testing::random_quadratic());
  const auto many = make<Estimator>("gauss_newton", "{num_query: 400}")->estimate(again);

  for (size_t i = 0; i < few.entries.size(); ++i) {
    EXPECT_NEAR(few.entries[i].value, many.entries[i].value,
                5 * few.entries[i].standard_error + 5 * many.entries[i].standard_error)
        << few.entries[i].site;
    EXPECT_LT(many.entries[i].standard_error, few.entries[i].standard_error);
  }
}

}  // namespace
}  // namespace qtk
