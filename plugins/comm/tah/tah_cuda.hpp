// TAH-Quant on CUDA tensors: the messages of tile_encoder.hpp. Entropies are sums in another order,
// so of two tiles (or tokens) with nearly the same entropy the other one may get the low precision.
#pragma once

#include "message_layout.hpp"

#include <ATen/core/Tensor.h>

namespace qtk::tah {

/// On the current stream, without host synchronisation. @param x  f32, bf16 or f16
/// @throws ConfigError for tiles below 8 channels or tokens above 16384 (8192 with tiles of 8)
void encode_cuda(const at::Tensor& x, const Settings& settings, const Layout& layout,
                 at::Tensor& wire);

/// As encode_cuda; a damaged map of precisions makes the token NaN.
at::Tensor decode_cuda(const at::Tensor& wire, const Settings& settings, const Layout& layout,
                       const TensorSpec& spec);

}  // namespace qtk::tah
