// Where the parts of a TAH message lie. All sizes follow from the shape, so that a receive can be
// posted before the message exists.
//
//   low codes | high codes | zero points | scales | precision map | rotation map | pivots
//
// Codes and maps are bit streams, most significant bit first, each padded to a byte. Units are what
// shares a precision: tokens, or tiles. Codes lie in the order of their units; zero points, scales
// (16 bits each, little-endian), the rotation map and the pivots (log2 n bits) in the order of the
// tiles.
#pragma once

#include <ATen/core/ScalarType.h>
#include <boundary_codec/message.hpp>

#include <cstdint>

namespace qtk::tah {

/// Which units get the low precision: tokens of low entropy, tiles of low entropy, or tiles of low
/// range after the rotation (tiles are ranked within their token).
enum class Allocation { kToken, kTile, kRange };

struct Settings {
  int64_t tile_size = 64;  // power of two
  int high_bits = 4;
  int low_bits = 3;
  double high_ratio = 0.8;
  Allocation allocation = Allocation::kTile;
  double threshold = 2;  // rotate if largest >= threshold * second magnitude; negative: never
  at::ScalarType metadata = at::kBFloat16;  // or f16
  bool fits_stored = true;                  // codes are chosen for the rounded zero point and scale
};

struct Layout {
  int64_t n, tiles;               // elements of a tile, tiles in all
  int64_t unit_tiles;             // tiles of a unit
  int64_t rows, units_per_row;    // units are ranked within a row: a sample, or a token
  int64_t low_per_row;            // units of a row with low precision
  int pivot_bits;                 // log2 n
  int64_t low_codes, high_codes;  // elements
  int64_t high_at, zeros_at, scales_at, precision_at, rotation_at, pivots_at, bytes;  // offsets

  int64_t units() const { return rows * units_per_row; }
};

/// Of a row of `units`, ceil(high_ratio * units) get the high precision.
/// @throws ConfigError if the tile size does not divide the channels
Layout layout_of(const boundary::Extent& extent, const Settings& settings);

}  // namespace qtk::tah
