// TAH-Quant one tensor operation at a time, as its authors' program is built: allocation by tokens,
// a byte for every bit while packing, sizes read by the host. What the fused kernels are compared
// with.
#pragma once

#include <ATen/core/Tensor.h>

namespace qtk {

struct StepwiseTah {
  int64_t tile = 64;
  int high_bits = 4, low_bits = 3;
  double high_ratio = 0.8;

  /// One message of bytes. @param x_BSC  on any device
  at::Tensor encode(const at::Tensor& x_BSC) const;
  /// fp32
  at::Tensor decode(const at::Tensor& message, at::IntArrayRef shape) const;
};

}  // namespace qtk
