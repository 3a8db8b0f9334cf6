// The original's tah message: precision per token, threshold 2, f16 zero points and scales.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace qtk::original {

struct TahOptions {
  int64_t tile_size = 64;
  int high_bits = 4;
  int low_bits = 3;
  double high_ratio = 0.8;
};

struct TahMessage {
  std::vector<uint8_t> bytes;
  at::Tensor decoded;                          // f32, shape of x
  std::vector<float> entropies;                // per token
  std::vector<uint8_t> is_low;                 // per token
  int64_t rotated = 0;                         // tiles
  std::vector<uint8_t> low_codes, high_codes;  // one a byte, in the order of the message
};

/// int(S * (1 - r)) in f64: 204 of 1024, 1 of 10 and 0 of 5 for r = 0.8.
int64_t low_tokens(int64_t sequence, double high_ratio);

/// @param x  [B, S, C] f32
TahMessage tah(const at::Tensor& x, const TahOptions& options);

/// -sum p ln(p + 1e-30) of n values, p = |x| / (sum |x| + 1e-30).
float entropy(const float* x, int64_t n);

}  // namespace qtk::original
