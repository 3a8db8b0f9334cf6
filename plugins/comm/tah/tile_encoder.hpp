// Encoding of tiles: outlier test, rotation, asymmetric codes.
//
//   z = min y;   s = (max y - z) / (2^bits - 1);   q = clip(round_half_even((y - z) / s), 0, 2^bits
//   - 1)
#pragma once

#include "message_layout.hpp"

#include <ATen/core/Tensor.h>

namespace qtk::tah {

/// Magnitudes above this are cut: sums over a tile and differences of them stay finite in f32.
float largest_magnitude(int64_t tile_size);

/// Writes layout.bytes bytes. @param x_BSC  f32, contiguous, at most largest_magnitude()
void encode_tiles(const at::Tensor& x_BSC, const Settings& settings, const Layout& layout,
                  uint8_t* wire);

}  // namespace qtk::tah
