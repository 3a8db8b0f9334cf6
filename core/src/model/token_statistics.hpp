// The running state behind cross_entropy.hpp: what one tile of logits after another leaves behind
// per token.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace qtk::model {

/// Of the logits seen so far; log-sum-exp = maximum + log(sum). On the device of the logits.
struct TokenStatistics {
  at::Tensor maximum;  // [N] fp32, -infinity at first
  at::Tensor sum;      // [N] fp64, of exp(logit - maximum)
  at::Tensor argmax;   // [N] int64, first place of the maximum
  at::Tensor target;   // [N] fp32, logit of the target
  at::Tensor
      gap;  // [N] fp64, sum of exp(logit - maximum) (logit - other), if another model is compared

  static TokenStatistics make(int64_t tokens, c10::Device device, bool has_gap);
  /// The rows `first` ... `first + count - 1`, sharing memory.
  TokenStatistics rows(int64_t first, int64_t count) const;
  /// [N] fp64
  at::Tensor log_sum_exp() const;
};

/// Takes in a tile: logits of the columns first_column ... of all tokens of `statistics`.
/// @param logits   [n, columns] fp32, rows contiguous
/// @param other    the same of the compared model, or undefined
/// @param targets  [n] int64
void absorb_tile(const at::Tensor& logits, const at::Tensor& other, int64_t first_column,
                 const at::Tensor& targets, TokenStatistics& statistics);

/// The same in tensor operations, for any device and dtype.
void absorb_tile_ref(const at::Tensor& logits, const at::Tensor& other, int64_t first_column,
                     const at::Tensor& targets, TokenStatistics& statistics);

}  // namespace qtk::model
