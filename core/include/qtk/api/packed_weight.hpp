// A weight as it is stored on disk, and the uniform grid that exporters understand.
#pragma once

#include <qtk/runtime/export.hpp>

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>

namespace qtk {

/// Named tensors (codes, scales, ...) at their true width, on the CPU and contiguous. Names are the
/// plugin's own; core stores each as "<site>.<name>". Biases are not part of it.
struct QTK_API PackedWeight {
  std::map<std::string, at::Tensor> tensors;

  /// Bits of all tensors together: what Quantizer::storage_bits() promised.
  int64_t storage_bits() const;
};

/// A weight on a uniform grid: weight[o, i] = (codes[o, i] - zeros[o, g]) * scales[o, g] with g = i
/// / group_size. Exporters turn it into other libraries' formats without loss where those can hold
/// it.
struct QTK_API UniformGrid {
  int bits = 0;  // codes lie in [0, 2^bits), or in [-2^(bits-1), 2^(bits-1)) if is_signed
  bool is_signed = false;
  int64_t group_size = 0;  // columns that share a scale; in_features for per-channel
  at::Tensor codes;        // [out, in] int32
  at::Tensor scales;       // [out, groups] fp32
  at::Tensor zeros;        // [out, groups] int32; all zero for a symmetric grid
};

}  // namespace qtk
