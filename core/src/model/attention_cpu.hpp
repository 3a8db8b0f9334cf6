// Causal attention for fp32 inference on the CPU, with the rotary embedding applied on the way in.
// It never holds the S x S scores (FlashAttention, Dao et al. 2022: a running maximum and sum per
// query), skips keys in the future and behind the window, and repeats no key or value head.
#pragma once

#include "model/rotary.hpp"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

namespace qtk::model {

/// Which instruction set the kernel uses.
enum class CpuAttention { kNone, kAvx2, kAvx512 };

/// The best one of this processor; kNone: there is no kernel for it.
CpuAttention best_cpu_attention();

/// @param q       [B, S, heads, head_dim] fp32 on the CPU, features contiguous
/// @param k, v    [B, S, kv_heads, head_dim], likewise; kv_heads divides heads
/// @param rotary  S rows, or undefined tensors for no rotation
/// @param window  key j is visible to query i iff 0 <= i - j < window
/// @returns       [B, S, heads, head_dim], contiguous
at::Tensor cpu_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                         const RotaryTable& rotary, std::optional<int64_t> window,
                         CpuAttention kind = best_cpu_attention());

}  // namespace qtk::model
