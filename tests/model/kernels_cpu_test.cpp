#include "model/kernels_cpu.hpp"

#include "golden.hpp"
#include "model/mlp.hpp"
#include "model/norm.hpp"
#include "model/rms_norm_training.hpp"
#include "model/vector_math.hpp"
#include "random_tensor.hpp"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>

namespace qtk::model {
namespace {

QTK_CPU_CLONES
void exponentials(const float* from, float* to, int64_t count) {
  for (int64_t i = 0; i < count; i += kLanes)
    store<Floats>(to + i, exponential<Floats>(load<Floats>(from + i)));
}

TEST(Exponential, IsExactToTheLastPlaceOrTwo) {
  const int64_t count = 1 << 16;
  const auto x = at::linspace(-87, 88, count, at::kFloat);
  auto y = at::empty({count}, at::kFloat);

  exponentials(x.const_data_ptr<float>(), y.mutable_data_ptr<float>(), count);

  const auto expected = x.to(at::kDouble).exp();
  EXPECT_LT(((y - expected) / expected).abs().max().item<double>(), 1.3e-7);
}

TEST(Exponential, IsSaneAtTheEdges) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const float x[8] = {0, -0.0f, -kInfinity, -1e30f, 1e30f, kInfinity, std::nanf(""), 1};
  float y[8];

  exponentials(x, y, 8);

  EXPECT_EQ(y[0], 1);
  EXPECT_EQ(y[1], 1);
  EXPECT_LT(y[2], 2e-38);
  EXPECT_LT(y[3], 2e-38);
  EXPECT_GT(y[4], 1e38);
  EXPECT_GT(y[5], 1e38);
  EXPECT_TRUE(std::isnan(y[6]));
  EXPECT_FLOAT_EQ(y[7], 2.7182818f);
}

TEST(RmsNorm, TheFusedLoopAgreesWithTheDifferentiableForm) {
  for (const int64_t columns : {1, 7, 8, 33, 576, 20000})
    for (const double eps : {1e-6, 1e-1}) {
      const auto x = random({2, 3, columns}), weight = random({columns}, 2);
      const Norm norm{.weight = weight, .eps = eps};

      const auto found = norm.forward(x);

      const auto expected = rms_norm_ref(x.to(at::kDouble), weight, eps);
      EXPECT_LT(relative_error(found, expected), 1e-6) << columns;
    }
}

TEST(RmsNorm, TakesTransposedInputAndNarrowWeights) {
  const auto x = random({6, 4}).t(), weight = random({6}).to(at::kBFloat16);
  const Norm norm{.weight = weight, .eps = 1e-5};

  EXPECT_LT(relative_error(norm.forward(x),
                           rms_norm_ref(x.to(at::kDouble), weight.to(at::kDouble), 1e-5)),
            1e-6);
}

TEST(RmsNorm, RecordsGradientsWhereTheyAreAskedFor) {
  const Norm norm{.weight = random({16}).requires_grad_(), .eps = 1e-5};
  const auto x = random({2, 16});

  EXPECT_TRUE(norm.forward(x).requires_grad());
  const c10::NoGradGuard no_grad;
  EXPECT_FALSE(norm.forward(x).requires_grad());
}

TEST(RmsNorm, TheGradientsOfTheFusedLoopAgreeWithThoseOfPlainOperations) {
  for (const int64_t columns : {1, 7, 8, 33, 576, 20000})
    for (const double eps : {1e-6, 1e-1}) {
      SCOPED_TRACE(columns);
      const auto x = random({2, 3, columns}).requires_grad_(),
                 weight = random({columns}, 2).requires_grad_(),
                 gradient = random({2, 3, columns}, 3);
      const auto exact_x = x.detach().to(at::kDouble).requires_grad_(),
                 exact_weight = weight.detach().to(at::kDouble).requires_grad_();

      torch::autograd::backward({rms_norm_training(x, weight, eps)}, {gradient});
      torch::autograd::backward({rms_norm_ref(exact_x, exact_weight, eps)},
                                {gradient.to(at::kDouble)});

      // One column: what is left of the gradient is the difference of nearly equal numbers.
      const double tolerance = columns == 1 && eps < 1e-3 ? 1e-1 : 1e-5;
      EXPECT_LT(relative_error(x.grad(), exact_x.grad()), tolerance);
      EXPECT_LT(relative_error(weight.grad(), exact_weight.grad()), 1e-5);
    }
}

TEST(LayerNorm, ScalesAndShiftsWhatIsNormalized) {
  const auto x = random({5, 16}), weight = random({16}, 2), bias = random({16}, 3);
  const Norm norm{.kind = NormKind::kLayer, .weight = weight, .bias = bias, .eps = 1e-2};

  const auto centered = x - x.mean(1, true);
  const auto expected = centered / (centered.square().mean(1, true) + 1e-2).sqrt() * weight + bias;
  EXPECT_LT(relative_error(norm.forward(x), expected), 1e-6);
}

TEST(SiluTimes, TheFusedLoopAgreesWithTheDifferentiableForm) {
  for (const int64_t columns : {1, 8, 45, 1536}) {
    const auto gate = 20 * random({4, 3, columns}), up = random({4, 3, columns}, 2);
    auto out = at::empty_like(gate);

    silu_times_fused(gate, up, out);

    const auto expected = silu_times_ref(gate.to(at::kDouble), up.to(at::kDouble));
    EXPECT_LT(relative_error(out, expected), 1e-6) << columns;
  }
}

TEST(SiluTimes, ReadsHalvesOfAJoinedProjectionAndWritesInPlace) {
  const auto joined = random({6, 2 * 20});
  auto gate = joined.narrow(1, 0, 20).clone();
  const auto up = joined.narrow(1, 20, 20);
  const auto expected = silu_times_ref(gate, up);
  auto out = at::empty({6, 20});

  silu_times_fused(joined.narrow(1, 0, 20), up, out);
  silu_times_fused(gate, up, gate);

  EXPECT_LT(relative_error(out, expected), 1e-6);
  EXPECT_TRUE(gate.equal(out));
}

}  // namespace
}  // namespace qtk::model
