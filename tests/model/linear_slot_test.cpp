// Groups of dense layers: one product of all weights in training, one for each otherwise.
#include "model/linear_slot.hpp"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

namespace qtk::model {
namespace {

constexpr int64_t kInputs = 24;
constexpr int64_t kRows[] = {8, 3, 5};

struct Group {
  std::vector<at::Tensor> weights, biases;  // leaves

  explicit Group(bool has_bias) {
    at::manual_seed(7);
    for (const int64_t rows : kRows) {
      weights.push_back(at::randn({rows, kInputs}).requires_grad_());
      biases.push_back(has_bias ? at::randn({rows}).requires_grad_() : at::Tensor());
    }
  }
  LinearGroup layers() const {
    std::vector<LinearSlot> slots;
    for (size_t i = 0; i < weights.size(); ++i)
      slots.emplace_back("layer", weights[i], biases[i], /*is_conv1d=*/false);
    return LinearGroup(std::move(slots));
  }
};

/// A number that all outputs go into, each in its own way.
at::Tensor sum_of(const std::vector<at::Tensor>& outputs) {
  at::Tensor sum = at::zeros({});
  for (size_t i = 0; i < outputs.size(); ++i)
    sum = sum + (outputs[i].square() * (1.0 + static_cast<double>(i))).sum();
  return sum;
}

void expect_gradients_of_layers(bool has_bias, int64_t tokens) {
  const Group joined(has_bias), single(has_bias);
  const auto x = at::randn({2, tokens, kInputs}).requires_grad_();
  const auto same = x.detach().clone().requires_grad_();
  const auto outputs = joined.layers().forward(x);
  std::vector<at::Tensor> wanted;
  for (size_t i = 0; i < single.weights.size(); ++i)
    wanted.push_back(at::linear(same, single.weights[i],
                                has_bias ? std::optional(single.biases[i]) : std::nullopt));
  ASSERT_EQ(outputs.size(), wanted.size());
  for (size_t i = 0; i < outputs.size(); ++i)
    EXPECT_TRUE(at::allclose(outputs[i], wanted[i], 1e-5, 1e-5));
  torch::autograd::backward({sum_of(outputs)}, {});
  torch::autograd::backward({sum_of(wanted)}, {});
  EXPECT_TRUE(at::allclose(x.grad(), same.grad(), 1e-4, 1e-3));
  for (size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_TRUE(at::allclose(joined.weights[i].grad(), single.weights[i].grad(), 1e-4, 1e-3));
    if (!has_bias) continue;
    EXPECT_TRUE(at::allclose(joined.biases[i].grad(), single.biases[i].grad(), 1e-4, 1e-3));
  }
}

TEST(LinearGroup, AJoinedProductHasTheValuesAndGradientsOfItsLayers) {
  constexpr int64_t kManyTokens = 20;  // more activations than weights
  expect_gradients_of_layers(/*has_bias=*/false, kManyTokens);
  expect_gradients_of_layers(/*has_bias=*/true, kManyTokens);
}

TEST(LinearGroup, FewTokensGoThroughTheLayersOneByOne) {
  const Group group(/*has_bias=*/false);
  const auto outputs = group.layers().forward(at::randn({1, 2, kInputs}));
  for (const auto& output : outputs) EXPECT_TRUE(output.is_contiguous());
  const auto joined = group.layers().forward(at::randn({1, 200, kInputs}));
  for (const auto& output : joined) EXPECT_FALSE(output.is_contiguous());
  expect_gradients_of_layers(/*has_bias=*/true, /*tokens=*/2);
}

TEST(LinearGroup, NothingIsJoinedWithoutGradients) {
  const Group group(/*has_bias=*/false);
  const c10::NoGradGuard no_gradients;
  for (const auto& output : group.layers().forward(at::randn({1, 200, kInputs})))
    EXPECT_TRUE(output.is_contiguous());
}

}  // namespace
}  // namespace qtk::model
