#include "train/adamw.hpp"

#include "default_context.hpp"
#include "train/checkpoint.hpp"
#include "train/gradient_norm.hpp"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

namespace qtk::train {
namespace {

at::Tensor leaf(at::IntArrayRef shape) { return at::randn(shape).requires_grad_(); }
const at::Tensor kTake = at::zeros({}), kSkip = at::ones({});

/// A storage that counts its writes.
class PlainStorage final : public ParamStorage {
 public:
  explicit PlainStorage(at::Tensor value) : value_(std::move(value)) {}
  at::Tensor read() const override { return value_; }
  void write(const at::Tensor& value, RandomStream) override {
    value_ = value;
    ++writes;
  }
  int writes = 0;

 private:
  at::Tensor value_;
};

// Both forms of one tensor, three steps: the second has the fused kernel, the third the reference.
TEST(AdamW, FusedAndStoredFormsFollowTheReference) {
  at::manual_seed(1);
  const AdamWSettings settings{
      .lr = 0.1, .beta1 = 0.8, .beta2 = 0.9, .eps = 1e-3, .weight_decay = 0.2};
  auto fused = leaf({3, 40}), stored = fused.detach().clone().requires_grad_();
  const auto storage = std::make_shared<PlainStorage>(stored.detach().clone());
  auto value = fused.detach().clone(), first = at::zeros_like(value),
       second = at::zeros_like(value);
  AdamW optimizer({{"fused", fused, nullptr, settings}, {"stored", stored, storage, settings}},
                  default_context());
  for (int step = 0; step < 3; ++step) {
    const auto gradient = at::randn({3, 40});
    fused.mutable_grad() = gradient.clone();
    stored.mutable_grad() = gradient.clone();
    AdamWSettings scaled = settings;
    scaled.lr *= 0.5;
    value = adamw_ref(value, gradient, first, second, at::full({}, step + 1.0), scaled);

    optimizer.step(0.5, kTake, step);

    EXPECT_TRUE(at::allclose(fused.detach(), value, 1e-5, 1e-6)) << step;
    EXPECT_TRUE(at::allclose(storage->read(), value, 1e-5, 1e-6)) << step;
  }
  EXPECT_EQ(storage->writes, 3);
}

TEST(AdamW, ReferenceIsTheFormulaOfThePaper) {
  auto first = at::full({1}, 0.1), second = at::full({1}, 0.2);
  const auto value =
      adamw_ref(at::full({1}, 2.0f), at::full({1}, 0.5f), first, second, at::full({}, 3.0f),
                {.lr = 0.01, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .weight_decay = 0.1});
  const double m = 0.9 * 0.1 + 0.1 * 0.5, v = 0.99 * 0.2 + 0.01 * 0.25;
  const double expected =
      2.0 * (1 - 0.01 * 0.1) -
      0.01 * (m / (1 - std::pow(0.9, 3))) / (std::sqrt(v / (1 - std::pow(0.99, 3))) + 1e-8);
  EXPECT_NEAR(value.item<double>(), expected, 1e-6);
}

TEST(AdamW, ASkippedStepChangesNothing) {
  at::manual_seed(2);
  auto a = leaf({8}), b = leaf({8});
  const auto storage = std::make_shared<PlainStorage>(b.detach().clone());
  AdamW optimizer({{"a", a, nullptr, {.lr = 1}}, {"b", b, storage, {.lr = 1}}}, default_context());
  const auto step = [&](const at::Tensor& gradient, const at::Tensor& skip) {
    for (auto* tensor : {&a, &b}) tensor->mutable_grad() = gradient.clone();
    optimizer.step(1, skip, 0);
  };
  step(at::ones({8}), kTake);
  TrainState before, after;
  const auto value = a.detach().clone(), stored = storage->read().clone();
  ScopedWriter out(before, "x");
  optimizer.save(out);
  for (auto& [name, tensor] : before.tensors) tensor = tensor.clone();

  step(at::full({8}, NAN), kSkip);

  ScopedWriter again(after, "x");
  optimizer.save(again);
  EXPECT_TRUE(at::equal(a.detach(), value));
  EXPECT_TRUE(at::equal(storage->read(), stored));
  for (const auto& [name, tensor] : before.tensors)
    EXPECT_TRUE(at::equal(tensor, after.tensors.at(name))) << name;
}

TEST(GradientNorm, IsThatOfAllTogetherAndClipsToTheLimit) {
  std::vector<at::Tensor> gradients = {at::full({4}, 1.5f), at::full({2, 8}, 1.0f)};
  const auto norm = gradient_norm(gradients);
  EXPECT_NEAR(norm.item<double>(), 5, 1e-6);

  clip_to_norm(gradients, norm, 10);
  EXPECT_NEAR(gradient_norm(gradients).item<double>(), 5, 1e-6);
  clip_to_norm(gradients, norm, 2);
  EXPECT_NEAR(gradient_norm(gradients).item<double>(), 2, 1e-5);
}

}  // namespace
}  // namespace qtk::train
