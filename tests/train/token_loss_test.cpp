// The chunked loss against the same on all logits at once.
#include "train/token_loss.hpp"

#include "text/windows.hpp"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

namespace qtk::train {
namespace {

struct Case {
  double weight;  // of the divergence
  at::ScalarType dtype;
};

class TokenLossTest : public testing::TestWithParam<Case> {
 protected:
  // 3 chunks, the last a little shorter: a chunk on the CPU has at most 2^25 / V = 279 rows.
  static constexpr int64_t kTokens = 560, kHidden = 6, kVocabulary = 120'000;
};

at::Tensor random(at::IntArrayRef shape, at::ScalarType dtype, double scale) {
  return (at::randn(shape, at::kDouble) * scale).to(dtype).requires_grad_();
}

TEST_P(TokenLossTest, LossAndGradientsEqualThoseOfAllLogits) {
  at::manual_seed(1);
  const auto [share, dtype] = GetParam();
  const auto hidden = random({kTokens, kHidden}, dtype, 1),
             weight = random({kVocabulary, kHidden}, dtype, 0.3);
  const auto teacher = random({kTokens, 4}, dtype, 1).detach(),
             teacher_weight = random({kVocabulary, 4}, dtype, 0.3).detach();
  auto targets = at::randint(kVocabulary, {kTokens}, at::kLong);
  targets.slice(0, 0, kTokens, 7).fill_(text::kUnscoredTarget);
  const LossSettings settings{.divergence_weight = share, .temperature = 2};
  const auto teacher_logits = share > 0 ? at::mm(teacher, teacher_weight.t()) : at::Tensor();

  const auto expected =
      token_loss_ref(at::mm(hidden, weight.t()), targets, 0.01, settings, teacher_logits);
  const auto expected_gradients = torch::autograd::grad({expected.loss}, {hidden, weight});
  const auto found = token_loss({hidden, targets, 0.01}, weight, settings,
                                share > 0 ? TeacherView{teacher, teacher_weight} : TeacherView{});
  const auto gradients = torch::autograd::grad({found.loss * 3}, {hidden, weight});

  EXPECT_NEAR(found.loss.item<double>(), expected.loss.item<double>(), 1e-5);
  EXPECT_NEAR(found.cross_entropy.item<double>(), expected.cross_entropy.item<double>(), 1e-5);
  EXPECT_NEAR(found.divergence.item<double>(), expected.divergence.item<double>(), 1e-5);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_GT(expected_gradients[i].abs().max().item<double>(), 1e-4);
    EXPECT_TRUE(at::allclose(gradients[i], expected_gradients[i] * 3, 1e-4, 1e-7)) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Each, TokenLossTest,
                         testing::Values(Case{0, at::kFloat}, Case{0, at::kDouble},
                                         Case{0.3, at::kFloat}),
                         [](const auto& info) {
                           return std::string(info.param.weight > 0 ? "Distilled" : "Plain") +
                                  c10::toString(info.param.dtype);
                         });

TEST(TokenLoss, AHeadThatOnlyProjectsGivesTheSame) {
  at::manual_seed(2);
  const auto hidden = random({9, 5}, at::kFloat, 1), weight = random({20, 5}, at::kFloat, 1);
  const auto targets = at::randint(20, {9}, at::kLong);
  const model::Head head{{}, [&](const at::Tensor& x) { return at::mm(x, weight.t()); }, 20};

  const auto expected = token_loss({hidden, targets, 0.5}, weight);
  const auto expected_gradients = torch::autograd::grad({expected.loss}, {hidden, weight});
  const auto found = projected_token_loss({hidden, targets, 0.5}, head);
  torch::autograd::backward({found.loss}, {});

  EXPECT_NEAR(found.loss.item<double>(), expected.loss.item<double>(), 1e-5);
  EXPECT_TRUE(at::allclose(hidden.grad(), expected_gradients[0], 1e-4, 1e-6));
  EXPECT_TRUE(at::allclose(weight.grad(), expected_gradients[1], 1e-4, 1e-6));
}

}  // namespace
}  // namespace qtk::train
