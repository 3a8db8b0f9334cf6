// CUDA kernels of TAH-Quant: one launch encodes a message, one decodes it; the allocation by tokens
// takes two before the first. The launches see raw pointers only, go to `stream` (a cudaStream_t)
// and do not synchronise.
//
// Floor of the bytes for [1024, 1600] with the default options: 4.425 bits an element on the wire,
// so 0.91 MB beside 3.28 MB (bf16) or 6.55 MB (fp32): 1.4 us or 2.5 us at 3 TB/s.
#pragma once

#include <boundary_codec/number.hpp>

#include <cstdint>

namespace qtk::tah {

/// Settings and layout (message_layout.hpp) as the kernels need them; passed by value.
struct Plan {
  int64_t tokens = 0;
  int channels = 0, tile = 0;  // elements of a token and of a tile
  int tiles = 0;               // of a token
  int row_tokens = 0;          // tokens are ranked within as many; 0: tiles within their token
  int low_per_row = 0;         // units of a row with low precision
  int low_bits = 0, high_bits = 0, pivot_bits = 0;
  int64_t high_at = 0, zeros_at = 0, scales_at = 0, precision_at = 0, rotation_at = 0,
          pivots_at = 0;  // offsets in the message
  double threshold = 0;
  bool is_threshold_exact = false;  // exact_threshold is a power of two: products are exact
  float exact_threshold = 0;
  float rotation_scale = 0;  // 1 / sqrt(tile)
  float largest = 0;         // magnitudes above are cut
  bool is_range = false;     // tiles are ranked by range, else by entropy
  bool is_half = false;      // zero points and scales are f16, else bf16
  bool fits_stored = true;
};

constexpr int kSmallestTile = 8;  // so that the codes of a tile are whole bytes
/// Most channels of a token: its tiles are ranked by one block of threads.
int most_channels(int tile);

/// @param x  contiguous, aligned to 16 bytes. @param wire  the same
/// @param scores  [tokens], only for the allocation by tokens
void launch_encode(const Plan& plan, const void* x, boundary::Number type, float* scores,
                   uint8_t* wire, void* stream);

/// A token whose map of precisions cannot be right, in a damaged message, becomes NaN.
void launch_decode(const Plan& plan, const uint8_t* wire, void* x, boundary::Number type,
                   void* stream);

}  // namespace qtk::tah
