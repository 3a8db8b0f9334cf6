// Gradients of the decoder's parts, against finite differences in fp64 and against fp64 in fp32.
#include "golden.hpp"
#include "model/decoder.hpp"

#include <qtk/linear_product.hpp>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

namespace qtk::model {
namespace {

at::Tensor random_in(at::IntArrayRef shape, at::ScalarType dtype = at::kDouble, uint64_t seed = 1) {
  const auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  return at::randn(shape, generator, at::TensorOptions(at::kDouble)).to(dtype);
}

/// The loss whose gradients are looked at: every logit counts, none like another.
at::Tensor loss_of(Decoder& model, const at::Tensor& ids) {
  const auto logits = model.logits(ids);
  return (at::log_softmax(logits, -1) * random_in(logits.sizes(), logits.scalar_type(), 7)).sum();
}

std::vector<at::Tensor> require_gradients(Decoder& model) {
  std::vector<at::Tensor> leaves;
  for (auto& [name, tensor] : model.parameters()) leaves.push_back(tensor.requires_grad_());
  return leaves;
}

class GradientOf : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Families, GradientOf,
                         ::testing::Values("llama", "llama_llama3_rope", "mistral", "qwen2",
                                           "qwen3", "phi3", "gpt2"),
                         [](const auto& info) { return info.param; });

TEST_P(GradientOf, EveryParameterAgreesWithFiniteDifferences) {
  const auto ids = expected_of(GetParam()).ids.narrow(1, 0, 6);
  const auto model = Decoder::load(golden(GetParam()), {.dtype = at::kDouble});
  const auto leaves = require_gradients(*model);
  const auto gradients = torch::autograd::grad({loss_of(*model, ids)}, leaves);

  const c10::NoGradGuard no_grad;
  constexpr double kStep = 1e-5;
  for (size_t i = 0; i < leaves.size(); ++i) {
    auto leaf = leaves[i].detach();  // shares memory
    const auto direction = random_in(leaf.sizes(), at::kDouble, i);
    leaf.add_(direction, kStep);
    const double above = loss_of(*model, ids).item<double>();
    leaf.sub_(direction, 2 * kStep);
    const double below = loss_of(*model, ids).item<double>();
    leaf.add_(direction, kStep);

    const double expected = (above - below) / (2 * kStep);
    const double found = (gradients[i] * direction).sum().item<double>();
    EXPECT_NEAR(found, expected, 1e-5 * std::max(1.0, std::abs(expected)))
        << model->parameters()[i].name;
  }
}

TEST_P(GradientOf, Fp32AgreesWithFp64) {
  const auto ids = expected_of(GetParam()).ids;
  const auto narrow = Decoder::load(golden(GetParam()));
  const auto wide = Decoder::load(golden(GetParam()), {.dtype = at::kDouble});

  const auto found = torch::autograd::grad({loss_of(*narrow, ids)}, require_gradients(*narrow));
  const auto expected = torch::autograd::grad({loss_of(*wide, ids)}, require_gradients(*wide));

  for (size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i].scalar_type(), at::kFloat);
    EXPECT_LT(relative_error(found[i], expected[i]), 1e-4) << narrow->parameters()[i].name;
  }
}

TEST_P(GradientOf, ASecondDerivativeExistsAndAgreesWithFiniteDifferences) {
  const auto ids = expected_of(GetParam()).ids.narrow(1, 0, 6);
  const auto model = Decoder::load(golden(GetParam()), {.dtype = at::kDouble});
  model->set_attention(AttentionForm::kTwiceDifferentiable);
  const auto leaf = model->parameters()[2].tensor.requires_grad_();
  const auto direction = random_in(leaf.sizes());
  const auto gradient = [&](bool create_graph) {
    return torch::autograd::grad({loss_of(*model, ids)}, {leaf}, {}, true, create_graph).front();
  };

  const auto product = torch::autograd::grad({(gradient(true) * direction).sum()}, {leaf}).front();

  constexpr double kStep = 1e-5;
  auto memory = leaf.detach();
  memory.add_(direction, kStep);
  const auto above = gradient(false);
  memory.sub_(direction, 2 * kStep);
  const auto below = gradient(false);
  EXPECT_LT(relative_error(product, (above - below) / (2 * kStep)), 1e-5);
}

TEST(Gradient, SecondDerivativeInFp32AgreesWithFp64) {
  const auto ids = expected_of("llama").ids;
  const auto product_in = [&](at::ScalarType dtype) {
    const auto model = Decoder::load(golden("llama"), {.dtype = dtype});
    model->set_attention(AttentionForm::kTwiceDifferentiable);
    const auto leaf = model->parameters()[2].tensor.requires_grad_();
    const auto gradient =
        torch::autograd::grad({loss_of(*model, ids)}, {leaf}, {}, true, true).front();
    return torch::autograd::grad({(gradient * random_in(leaf.sizes(), dtype)).sum()}, {leaf})
        .front();
  };

  EXPECT_LT(relative_error(product_in(at::kFloat), product_in(at::kDouble)), 1e-4);
}

TEST(Gradient, FlowsThroughABlockToItsInput) {
  const auto model = Decoder::load(golden("llama"));
  const auto x = random_in({1, 5, 32}, at::kFloat).requires_grad_();

  const auto gradient =
      torch::autograd::grad({model->head(model->block(1, x)).square().sum()}, {x}).front();

  EXPECT_EQ(gradient.sizes(), x.sizes());
  EXPECT_GT(gradient.abs().min().item<float>(), 0);
}

// What activation checkpointing does: a forward pass without a graph, repeated with one when the
// gradient arrives.
TEST(Gradient, ABlockCanBeRepeatedFromItsInput) {
  const auto model = Decoder::load(golden("llama"));
  const auto ids = expected_of("llama").ids;
  const auto leaf = model->parameters()[2].tensor.requires_grad_();
  const auto direct =
      torch::autograd::grad({model->block(0, model->embed(ids)).square().sum()}, {leaf}).front();

  at::Tensor input, output;
  {
    const c10::NoGradGuard no_grad;
    input = model->embed(ids);
    output = model->block(0, input);
  }
  const auto repeated = model->block(0, input.detach().requires_grad_());
  const auto gradient = torch::autograd::grad({repeated}, {leaf}, {2 * output}).front();

  EXPECT_LT(relative_error(repeated.detach(), output), 1e-5);
  EXPECT_LT(relative_error(gradient, direct), 1e-4);
}

TEST(Gradient, OfABfloat16WeightIsBfloat16) {
  const auto model = Decoder::load(golden("llama_bf16"));
  const auto ids = expected_of("llama_bf16").ids;
  const auto leaf = model->dense_weight(0).requires_grad_();

  const auto gradient = torch::autograd::grad({loss_of(*model, ids)}, {leaf}).front();

  EXPECT_EQ(gradient.scalar_type(), at::kBFloat16);
  EXPECT_GT(gradient.abs().max().item<float>(), 0);
}

TEST(LinearProduct, AgreesWithFp64InValueAndGradients) {
  for (const bool has_bias : {false, true})
    for (const bool is_transposed : {false, true}) {
      const auto x = random_in({2, 3, 40}, at::kFloat, 2).requires_grad_();
      const auto stored = is_transposed ? random_in({40, 24}, at::kFloat, 3).t()
                                        : random_in({24, 40}, at::kFloat, 3);
      const auto weight = stored.detach().requires_grad_();
      const auto bias = random_in({24}, at::kFloat, 4).requires_grad_();
      const auto x64 = x.detach().to(at::kDouble).requires_grad_();
      const auto w64 = weight.detach().to(at::kDouble).requires_grad_();

      const auto y = linear_product(x, weight, has_bias ? bias : at::Tensor());
      const auto y64 =
          at::linear(x64, w64, has_bias ? std::optional(bias.to(at::kDouble)) : std::nullopt);
      std::vector<at::Tensor> inputs = {x, weight};
      if (has_bias) inputs.push_back(bias);
      const auto gradients = torch::autograd::grad({y.pow(3).sum()}, inputs);
      const auto expected = torch::autograd::grad({y64.pow(3).sum()}, {x64, w64});

      EXPECT_LT(relative_error(y.detach(), y64.detach()), 1e-6);
      EXPECT_LT(relative_error(gradients[0], expected[0]), 1e-5);
      EXPECT_LT(relative_error(gradients[1], expected[1]), 1e-5);
      if (has_bias) {
        EXPECT_LT(relative_error(gradients[2], (3 * y64.square()).flatten(0, 1).sum(0).detach()),
                  1e-5);
      }
    }
}

TEST(LinearProduct, WidensNarrowWeightsAndTakesEmptyInputs) {
  const auto x = random_in({3, 16}, at::kFloat);
  const auto weight = random_in({8, 16}, at::kBFloat16);

  EXPECT_LT(relative_error(linear_product(x, weight), x.mm(weight.to(at::kFloat).t())), 1e-6);
  EXPECT_EQ(linear_product(at::empty({0, 16}), weight).sizes(), (at::IntArrayRef{0, 8}));
}

}  // namespace
}  // namespace qtk::model
