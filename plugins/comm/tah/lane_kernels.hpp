// The kernels of tah_kernels.hpp for the usual plan: tiles of 64 that are ranked within their
// token. A lane has a tile, with neither shuffles nor barriers between its elements. About 20
// instructions an element encode and 10 decode, against 51 and 34 where neighbouring threads share
// a tile. Same messages and values, but for entropies that differ by their rounding.
#pragma once

#include "tah_kernels.hpp"

namespace qtk::tah {

/// Whether these kernels take a plan: a token's tiles fill more than half a warp, codes are short,
/// scales are those that are stored, and places fit in 32 bits.
inline bool takes_lanes(const Plan& plan) {
  constexpr int64_t kMostElements = (int64_t{1} << 31) - 1;
  return plan.row_tokens == 0 && plan.tile == 64 && plan.tiles > 16 && plan.tiles <= 32 &&
         plan.high_bits <= 4 && plan.fits_stored && plan.tokens <= kMostElements / plan.channels;
}

/// Where every tile is rotated, neighbouring threads that share a tile encode faster.
inline bool rotates_all(const Plan& plan) { return plan.threshold >= 0 && plan.threshold <= 1; }

void launch_lane_encode(const Plan& plan, const void* x, boundary::Number type, uint8_t* wire,
                        void* stream);
void launch_lane_decode(const Plan& plan, const uint8_t* wire, void* x, boundary::Number type,
                        void* stream);

}  // namespace qtk::tah
