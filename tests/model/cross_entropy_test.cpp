#include "model/cross_entropy.hpp"

#include "fake_quantizer.hpp"
#include "golden.hpp"
#include "model/token_statistics.hpp"
#include "random_tensor.hpp"

#include <qtk/runtime/error.hpp>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

namespace qtk::model {
namespace {

Head dense(const at::Tensor& weight) {
  return {.weight = weight, .project = {}, .vocab_size = weight.size(0)};
}

/// A head that only knows all logits at once, as one behind a quantized layer does.
Head whole(const at::Tensor& weight) {
  return {.weight = {},
          .project = [weight](const at::Tensor& x) { return at::linear(x, weight); },
          .vocab_size = weight.size(0)};
}

struct Case {
  at::Tensor hidden, weight, targets;
  at::Tensor log_probabilities() const {
    return at::log_softmax(hidden.to(at::kDouble).mm(weight.to(at::kDouble).t()), -1);
  }
};

// Vocabularies on both sides of a tile's columns (2048), tokens of its rows (512).
Case random_case(int64_t tokens, int64_t vocab_size, double scale = 1) {
  const auto targets =
      (at::arange(tokens, at::kLong) * 7919 + vocab_size - 1).remainder(vocab_size);
  return {random({tokens, 24}, 1), scale * random({vocab_size, 24}, 2), targets};
}

at::Tensor nll_of(const at::Tensor& log_probabilities, const at::Tensor& targets) {
  return -log_probabilities.gather(1, targets.unsqueeze(1)).squeeze(1);
}

TEST(CrossEntropy, GivesLogProbabilitiesAndTheMostProbableToken) {
  for (const auto& [tokens, vocab_size] :
       {std::pair{1, 1}, {3, 13}, {600, 100}, {40, 2048}, {9, 5003}, {513, 4100}}) {
    const auto data = random_case(tokens, vocab_size);
    const auto expected = data.log_probabilities();
    for (const auto& head : {dense(data.weight), whole(data.weight)}) {
      const auto scores = score_tokens(head, data.hidden, data.targets);

      EXPECT_EQ(scores.nll.scalar_type(), at::kDouble);
      EXPECT_LT((scores.nll - nll_of(expected, data.targets)).abs().max().item<double>(), 2e-5)
          << vocab_size;
      EXPECT_TRUE(scores.argmax.equal(expected.argmax(1))) << vocab_size;
    }
  }
}

TEST(CrossEntropy, HoldsForProbabilitiesNearZeroAndOne) {
  const auto data = random_case(50, 3000, /*scale=*/30);
  const auto expected = nll_of(data.log_probabilities(), data.targets);

  const auto scores = score_tokens(dense(data.weight), data.hidden, data.targets);

  EXPECT_GT(expected.max().item<double>(), 300);
  EXPECT_LT(((scores.nll - expected) / expected.clamp_min(1)).abs().max().item<double>(), 1e-5);
}

TEST(CrossEntropy, TakesTheFirstOfEqualLogits) {
  const auto weight = at::zeros({5000, 24});
  const auto scores =
      score_tokens(dense(weight), random({4, 24}, 1), at::full({4}, 4999, at::kLong));

  EXPECT_TRUE(scores.argmax.equal(at::zeros({4}, at::kLong)));
  EXPECT_NEAR(scores.nll[2].item<double>(), std::log(5000.0), 1e-6);
}

TEST(CrossEntropy, WidensAHeadInBfloat16) {
  auto data = random_case(30, 2500);
  const auto narrow = data.weight.to(at::kBFloat16);
  data.weight = narrow.to(at::kFloat);

  const auto scores = score_tokens(dense(narrow), data.hidden, data.targets);

  EXPECT_LT(
      (scores.nll - nll_of(data.log_probabilities(), data.targets)).abs().max().item<double>(),
      2e-5);
}

TEST(CrossEntropy, NoTokensGiveNoScores) {
  const auto scores =
      score_tokens(dense(at::zeros({10, 24})), at::zeros({0, 24}), at::zeros({0}, at::kLong));

  EXPECT_EQ(scores.nll.numel(), 0);
}

TEST(CrossEntropy, ShowsNaN) {
  auto data = random_case(3, 3000);
  data.hidden[1][0] = std::numeric_limits<float>::quiet_NaN();

  const auto scores = score_tokens(dense(data.weight), data.hidden, data.targets);

  EXPECT_TRUE(scores.nll.isnan().equal(at::arange(3) == 1));
}

TEST(CrossEntropy, ComparesTwoModels) {
  const auto data = random_case(520, 3001);
  const Case other{data.hidden + 0.3 * random({520, 24}, 5),
                   data.weight + 0.1 * random({3001, 24}, 6), data.targets};
  const auto p = data.log_probabilities(), q = other.log_probabilities();
  const auto expected = (p.exp() * (p - q)).sum(1);
  for (const bool is_sliceable : {true, false}) {
    const auto scores = compare_tokens(dense(data.weight), data.hidden,
                                       is_sliceable ? dense(other.weight) : whole(other.weight),
                                       other.hidden, data.targets);

    EXPECT_GT(expected.min().item<double>(), 1e-3);
    EXPECT_LT((scores.kl - expected).abs().max().item<double>(), 2e-5);
    EXPECT_LT((scores.base.nll - nll_of(p, data.targets)).abs().max().item<double>(), 2e-5);
    EXPECT_LT((scores.model.nll - nll_of(q, data.targets)).abs().max().item<double>(), 2e-5);
    EXPECT_TRUE(scores.base.argmax.equal(p.argmax(1)));
    EXPECT_TRUE(scores.model.argmax.equal(q.argmax(1)));
    EXPECT_FALSE(scores.model.argmax.equal(scores.base.argmax));
  }
}

TEST(CrossEntropy, AModelDoesNotDivergeFromItself) {
  const auto data = random_case(50, 5000);
  const auto head = dense(data.weight);

  const auto scores = compare_tokens(head, data.hidden, head, data.hidden, data.targets);

  EXPECT_EQ(scores.kl.abs().max().item<double>(), 0);
  EXPECT_TRUE(scores.base.nll.equal(scores.model.nll));
}

TEST(CrossEntropy, ReadsTheHeadOfADecoder) {
  for (const std::string name : {"llama", "mistral"}) {
    const auto model = Decoder::load(golden(name));
    const auto expected = expected_of(name);
    const auto hidden = model->hidden(expected.ids).flatten(0, 1);
    const auto targets = expected.ids.flatten();
    const auto log_probabilities =
        at::log_softmax(expected.logits.flatten(0, 1).to(at::kDouble), -1);

    const auto scores = score_tokens(Head::of(*model), hidden, targets);

    EXPECT_LT((scores.nll - nll_of(log_probabilities, targets)).abs().max().item<double>(), 1e-4)
        << name;
  }
}

TEST(CrossEntropy, ReadsAQuantizedHead) {
  const auto model = Decoder::load(golden("mistral"));
  FakeQuantizer quantizer;
  const auto& site = model->sites().back();
  model->attach(site.index,
                quantizer.attach(site, {.weight = model->dense_weight(site.index), .bias = {}}));
  const auto hidden = random({6, 32}, 1);
  const auto targets = at::arange(6, at::kLong);

  const auto scores = score_tokens(Head::of(*model), hidden, targets);

  const auto rounded = dense(model->attached(site.index)->weight());
  EXPECT_LT((scores.nll - score_tokens(rounded, hidden, targets).nll).abs().max().item<double>(),
            1e-5);
}

TEST(CrossEntropy, RefusesTargetsOutsideOfTheVocabulary) {
  const auto data = random_case(4, 10);

  const auto message = message_of<Error>(
      [&] { score_tokens(dense(data.weight), data.hidden, at::full({4}, 10, at::kLong)); });

  EXPECT_NE(message.find("targets lie in [10, 10], but the vocabulary has 10"), std::string::npos)
      << message;
}

TEST(TokenStatistics, TheLoopAgreesWithTensorOperations) {
  for (const int64_t columns : {1, 6, 8, 37, 2048}) {
    auto loop = TokenStatistics::make(9, at::kCPU, /*has_gap=*/true);
    auto tensors = TokenStatistics::make(9, at::kCPU, /*has_gap=*/true);
    const auto targets = (at::arange(9, at::kLong) * columns).floor_divide(3);
    for (int tile = 0; tile < 3; ++tile) {
      const auto logits =
          3 * random({9, columns + 2}, 2 * tile).narrow(1, 1, columns);  // strided rows
      const auto other = 3 * random({9, columns}, 2 * tile + 1);

      absorb_tile(logits, other, tile * columns, targets, loop);
      absorb_tile_ref(logits, other, tile * columns, targets, tensors);
    }

    EXPECT_TRUE(loop.maximum.equal(tensors.maximum)) << columns;
    EXPECT_TRUE(loop.argmax.equal(tensors.argmax)) << columns;
    EXPECT_TRUE(loop.target.equal(tensors.target)) << columns;
    EXPECT_LT(relative_error(loop.sum, tensors.sum), 1e-6) << columns;
    EXPECT_LT(relative_error(loop.gap, tensors.gap), 1e-5) << columns;
  }
}

}  // namespace
}  // namespace qtk::model
