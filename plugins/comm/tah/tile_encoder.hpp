// Encoding of tiles: outlier test, rotation, asymmetric codes.
//
//   z = min y;   s = (max y - z) / (2^bits - 1);   q = clip(round_half_even((y - z) / s), 0, 2^bits
//   - 1)
#pragma once

#include "message_layout.hpp"

#include <ATen/core/Tensor.h>

namespace qtk::tah {

/// Writes layout.bytes bytes. Magnitudes above FLT_MAX / (4 n^2) are cut; a tile with NaN or
/// infinity decodes to NaN. @param x_BSC  f32, contiguous
void encode_tiles(const at::Tensor& x_BSC, const Settings& settings, const Layout& layout,
                  uint8_t* wire);

}  // namespace qtk::tah
