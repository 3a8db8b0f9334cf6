#include "model/straight_through.hpp"

#include <qtk/runtime/error.hpp>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

namespace qtk::model {
namespace {

TEST(StraightThrough, HasExactlyTheGivenValues) {
  // With latent + (value - latent).detach() each of these would be off in the last bit, or gone.
  const at::Tensor latent = at::tensor({1e8f, 0.1f, -3.0f, 1e-30f}).requires_grad_();
  const at::Tensor value = at::tensor({1.0f, 0.3f, -0.0f, 7.0f});

  const at::Tensor result = straight_through(latent, value);

  EXPECT_TRUE(at::equal(result, value));
  EXPECT_TRUE(at::equal(result.signbit(), value.signbit()));
}

TEST(StraightThrough, PassesTheGradientUnchanged) {
  const at::Tensor latent = at::randn({3, 4}).requires_grad_();
  const at::Tensor upstream = at::randn({3, 4});

  straight_through(latent, at::zeros({3, 4})).backward(upstream);

  EXPECT_TRUE(at::equal(latent.grad(), upstream));
}

TEST(StraightThrough, GradientsAccumulateOverUses) {
  const at::Tensor latent = at::ones({2}).requires_grad_();
  const at::Tensor value = at::tensor({5.0f, 6.0f});

  (straight_through(latent, value) + 2 * straight_through(latent, value)).sum().backward();

  EXPECT_TRUE(at::equal(latent.grad(), at::full({2}, 3.0f)));
}

TEST(StraightThrough, IsDifferentiableTwice) {
  // L = sum(q(w)^3): dL/dw = 3 q^2, and through the estimator d2L/dw2 = 6 q.
  const at::Tensor latent = at::tensor({0.2f, -0.7f}).requires_grad_();
  const at::Tensor value = at::tensor({1.0f, -2.0f});
  const at::Tensor loss = straight_through(latent, value).pow(3).sum();

  const auto first =
      torch::autograd::grad({loss}, {latent}, {}, /*retain_graph=*/true, /*create_graph=*/true);
  const auto second = torch::autograd::grad({first[0].sum()}, {latent});

  EXPECT_TRUE(at::allclose(first[0], 3 * value.square()));
  EXPECT_TRUE(at::allclose(second[0], 6 * value));
}

TEST(StraightThrough, NeedsNoGraphWithoutGradient) {
  const at::Tensor latent = at::ones({2}).requires_grad_();
  {
    const at::NoGradGuard no_grad;
    EXPECT_FALSE(straight_through(latent, at::zeros({2})).requires_grad());
  }
  EXPECT_FALSE(straight_through(at::ones({2}), at::zeros({2})).requires_grad());
  EXPECT_TRUE(straight_through(latent, at::zeros({2})).requires_grad());
}

TEST(StraightThrough, OtherShapeOrDtypeIsRefused) {
  EXPECT_THROW(straight_through(at::ones({2}), at::ones({3})), Error);
  EXPECT_THROW(straight_through(at::ones({2}), at::ones({2}, at::kDouble)), Error);
}

}  // namespace
}  // namespace qtk::model
