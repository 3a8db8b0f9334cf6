// The inner product of the CPU's attention kernel: a tile of C whose accumulators stay in
// registers.
#pragma once

#include "model/vector_math.hpp"

namespace qtk::model {

/// AVX-512: 8 x 32, 16 of 32 registers.
struct Avx512Tile {
  using Vector = Float16;
  static constexpr int kRows = 8, kVectors = 2, kColumns = 32;
};
/// AVX2: 6 x 16, 12 of 16 registers.
struct Avx2Tile {
  using Vector = Float8;
  static constexpr int kRows = 6, kVectors = 2, kColumns = 16;
};

/// c (+)= a b.
/// @param a  [kRows, depth], rows a_stride floats apart
/// @param b  [depth, kColumns], contiguous
/// @param c  [kRows, kColumns], rows c_stride floats apart; kAccumulate: added to, else overwritten
template <class Tile, bool kAccumulate>
QTK_INLINE void multiply_tile(const float* a, int64_t a_stride, const float* b, int64_t depth,
                              float* c, int64_t c_stride) {
  using Vector = typename Tile::Vector;
  constexpr int kRows = Tile::kRows, kVectors = Tile::kVectors;
  constexpr int kWidth = sizeof(Vector) / sizeof(float);
  Vector sums[kRows][kVectors] = {};
  for (int64_t k = 0; k < depth; ++k) {
    Vector right[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v)
      std::memcpy(&right[v], b + k * Tile::kColumns + v * kWidth, sizeof(Vector));
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sums[r][v] += a[r * a_stride + k] * right[v];
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      float* to = c + r * c_stride + v * kWidth;
      if constexpr (kAccumulate) {
        Vector old;
        std::memcpy(&old, to, sizeof old);
        sums[r][v] += old;
      }
      std::memcpy(to, &sums[r][v], sizeof(Vector));
    }
}

}  // namespace qtk::model
