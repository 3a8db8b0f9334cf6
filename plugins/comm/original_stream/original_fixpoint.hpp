// The original's fixpoint message with one f16 scale per channel.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace qtk::original {

struct FixpointMessage {
  std::vector<uint8_t> codes;    // one a byte, row-major
  std::vector<uint8_t> payload;  // packed codes
  std::vector<float> scales;     // [C], values of f16
  at::Tensor decoded;            // f32, shape of x
};

/// @param x  [B, S, C] f32. The scale is the largest magnitude of the channel.
FixpointMessage fixpoint(const at::Tensor& x, int bits);

}  // namespace qtk::original
