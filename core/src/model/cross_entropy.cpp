#include "model/cross_entropy.hpp"

#include "model/token_statistics.hpp"

#include <qtk/linear_product.hpp>
#include <qtk/runtime/check.hpp>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>

namespace qtk::model {
namespace {

// A tile of logits in fp32 takes 4 MB and lies in the last-level cache while it is reduced.
constexpr int64_t kTokens = 512, kColumns = 2048;
// All logits of a few tokens, where a head cannot be sliced.
constexpr int64_t kLargestWhole = int64_t{6} << 20;

/// A part of the head: columns first ... first + count - 1, its weight widened once for all tokens.
class HeadSlice {
 public:
  HeadSlice(const Head& head, int64_t first, int64_t count, at::ScalarType dtype) : head_(head) {
    if (head.weight.defined()) weight_ = head.weight.narrow(0, first, count).to(dtype);
  }
  at::Tensor logits(const at::Tensor& hidden) const {
    return weight_.defined() ? linear_product(hidden, weight_) : head_.project(hidden);
  }

 private:
  const Head& head_;
  at::Tensor weight_;
};

struct TileShape {
  int64_t tokens, columns;
};

TileShape tile_shape(int64_t vocab_size, bool is_sliceable) {
  if (is_sliceable) return {kTokens, std::min(kColumns, vocab_size)};
  return {std::clamp<int64_t>(kLargestWhole / vocab_size, 1, kTokens), vocab_size};
}

void check_inputs(const Head& head, const at::Tensor& hidden, const at::Tensor& targets) {
  QTK_CHECK(hidden.dim() == 2 && targets.dim() == 1 && targets.scalar_type() == at::kLong &&
                hidden.size(0) == targets.size(0),
            "scoring takes hidden [N, D] and targets [N] int64, not ", hidden.sizes(), " and ",
            targets.sizes());
  if (targets.numel() == 0) return;
  const auto [low, high] = targets.aminmax();
  QTK_CHECK(low.item<int64_t>() >= 0 && high.item<int64_t>() < head.vocab_size, "targets lie in [",
            low.item<int64_t>(), ", ", high.item<int64_t>(), "], but the vocabulary has ",
            head.vocab_size);
}

/// Calls `body(slice of head(s), first column, tile of tokens)` for every tile, the slices
/// outermost.
template <class Body>
void for_each_tile(TileShape shape, int64_t vocab_size, int64_t tokens, Body&& body) {
  for (int64_t column = 0; column < vocab_size; column += shape.columns) {
    const int64_t columns = std::min(shape.columns, vocab_size - column);
    const auto at_slice = body(column, columns);
    for (int64_t token = 0; token < tokens; token += shape.tokens)
      at_slice(token, std::min(shape.tokens, tokens - token));
  }
}

TokenScores scores_of(const TokenStatistics& statistics) {
  return {.nll = (statistics.log_sum_exp() - statistics.target).cpu(),
          .argmax = statistics.argmax.cpu()};
}

}  // namespace

Head Head::of(Decoder& model) {
  return {.weight = model.head_weight(),
          .project = [&model](const at::Tensor& hidden) { return model.head(hidden); },
          .vocab_size = model.config().vocab_size};
}

TokenScores score_tokens(const Head& head, const at::Tensor& hidden, const at::Tensor& targets) {
  const c10::NoGradGuard no_grad;
  check_inputs(head, hidden, targets);
  const int64_t tokens = hidden.size(0);
  const auto aims = targets.to(hidden.device()).contiguous();
  const auto all = TokenStatistics::make(tokens, hidden.device(), /*has_gap=*/false);
  for_each_tile(tile_shape(head.vocab_size, head.weight.defined()), head.vocab_size, tokens,
                [&](int64_t column, int64_t columns) {
                  return
                      [&, column, slice = HeadSlice(head, column, columns, hidden.scalar_type())](
                          int64_t token, int64_t count) {
                        auto part = all.rows(token, count);
                        absorb_tile(slice.logits(hidden.narrow(0, token, count)), {}, column,
                                    aims.narrow(0, token, count), part);
                      };
                });
  return scores_of(all);
}

PairScores compare_tokens(const Head& base_head, const at::Tensor& base_hidden, const Head& head,
                          const at::Tensor& hidden, const at::Tensor& targets) {
  const c10::NoGradGuard no_grad;
  check_inputs(head, hidden, targets);
  check_inputs(base_head, base_hidden, targets);
  QTK_CHECK(base_head.vocab_size == head.vocab_size,
            "the vocabularies differ: ", base_head.vocab_size, " and ", head.vocab_size);
  const int64_t tokens = hidden.size(0);
  const auto aims = targets.to(hidden.device()).contiguous();
  const auto base = TokenStatistics::make(tokens, hidden.device(), /*has_gap=*/true);
  const auto other = TokenStatistics::make(tokens, hidden.device(), /*has_gap=*/false);
  const bool is_sliceable = head.weight.defined() && base_head.weight.defined();
  for_each_tile(
      tile_shape(head.vocab_size, is_sliceable), head.vocab_size, tokens,
      [&](int64_t column, int64_t columns) {
        return [&, column,
                base_slice = HeadSlice(base_head, column, columns, base_hidden.scalar_type()),
                slice = HeadSlice(head, column, columns, hidden.scalar_type())](int64_t token,
                                                                                int64_t count) {
          const auto logits = slice.logits(hidden.narrow(0, token, count));
          const auto base_logits = base_slice.logits(base_hidden.narrow(0, token, count));
          const auto goals = aims.narrow(0, token, count);
          auto base_part = base.rows(token, count), part = other.rows(token, count);
          absorb_tile(base_logits, logits, column, goals, base_part);
          absorb_tile(logits, {}, column, goals, part);
        };
      });
  const auto kl = base.gap / base.sum - base.log_sum_exp() + other.log_sum_exp();
  return {.base = scores_of(base), .model = scores_of(other), .kl = kl.cpu()};
}

}  // namespace qtk::model
