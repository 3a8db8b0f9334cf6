// Causal self-attention of one block: projections, norms of the heads, rotation, the attention
// itself, output.
#pragma once

#include "model/decoder_config.hpp"
#include "model/gradients.hpp"
#include "model/linear_slot.hpp"
#include "model/norm.hpp"
#include "model/rotary.hpp"

#include <ATen/core/Tensor.h>

#include <optional>

namespace qtk::model {

/// [B, S, heads, head_dim], all with the same strides between features.
struct AttentionHeads {
  at::Tensor queries, keys, values;  // keys and values have kv_heads heads
};

struct Attention {
  LinearGroup inputs;  // q, k, v, or all in one
  LinearGroup output;
  std::optional<Norm> query_norm, key_norm;
  int64_t num_heads, num_kv_heads, head_dim;
  std::optional<int64_t> window;

  /// @param x       [B, S, D]
  /// @param rotary  S rows, or undefined tensors
  at::Tensor forward(const at::Tensor& x, const RotaryTable& rotary, AttentionForm form) const;

 private:
  AttentionHeads heads(const at::Tensor& x, AttentionForm form) const;
};

/// Differentiable; rotation included. @returns [B, S, heads, head_dim]
at::Tensor attention_ref(const AttentionHeads& heads, const RotaryTable& rotary,
                         std::optional<int64_t> window, AttentionForm form);

}  // namespace qtk::model
