// Log-probabilities of given tokens without ever holding tokens x vocabulary: logits are made in
// tiles that stay in the cache, and each tile is reduced to a running maximum and sum per token
// before the next one.
//
// Shapes: N tokens, D hidden size, V vocabulary.
#pragma once

#include "model/decoder.hpp"

#include <ATen/core/Tensor.h>

#include <functional>

namespace qtk::model {

/// An output projection as scoring needs it: a dense weight of which slices are used, or (behind a
/// quantized layer) a function to all logits.
struct Head {
  at::Tensor weight;  // [V, D], any floating dtype; undefined if only `project` can answer
  std::function<at::Tensor(const at::Tensor&)> project;  // [n, D] -> [n, V]
  int64_t vocab_size = 0;

  /// Refers to `model`.
  static Head of(Decoder& model);
};

/// Per token, on the CPU.
struct TokenScores {
  at::Tensor nll;     // [N] fp64, -log p(target) in nats
  at::Tensor argmax;  // [N] int64, the first most probable token
};

/// Two models on the same tokens; they agree on the top token where both argmax are equal.
struct PairScores {
  TokenScores base, model;
  at::Tensor kl;  // [N] fp64, KL(base || model) in nats
};

/// Without gradients. Temporaries stay below 64 MB.
/// @param hidden   [N, D] in the compute dtype, after the final norm
/// @param targets  [N] int64, each in [0, V)
TokenScores score_tokens(const Head& head, const at::Tensor& hidden, const at::Tensor& targets);

/// @param base_hidden, hidden  [N, D] of either model; both heads have one vocabulary
PairScores compare_tokens(const Head& base_head, const at::Tensor& base_hidden, const Head& head,
                          const at::Tensor& hidden, const at::Tensor& targets);

}  // namespace qtk::model
