// Rotary position embedding with the halves of a head as pairs (i, i + dim / 2), as Hugging Face
// stores weights.
#pragma once

#include "model/decoder_config.hpp"

#include <ATen/core/Tensor.h>

namespace qtk::model {

/// Cosines and sines of positions 0 ... S-1, fp32, [S, rotary_dim / 2] each.
struct RotaryTable {
  at::Tensor cosines, sines;
};

class Rotary {
 public:
  Rotary(const DecoderConfig& config, c10::Device device);

  /// Views of a table that grows as needed.
  RotaryTable table(int64_t positions);

 private:
  at::Tensor frequencies_;  // [rotary_dim / 2] fp32, radians per position
  RotaryTable table_;
};

/// The differentiable form: x [B, S, heads, head_dim] -> the same shape, the first rotary_dim
/// features of each head turned.
at::Tensor rotate_ref(const at::Tensor& x, const RotaryTable& table);

}  // namespace qtk::model
