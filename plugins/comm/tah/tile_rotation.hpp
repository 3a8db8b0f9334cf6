// The rotation of tiles with an outlier: pivot swap and Hadamard transform (TAH-Quant, arXiv
// 2506.01352).
//
//   y = swap(v, 0, pivot) H_n / sqrt(n),   H_2m = [[H_m, H_m], [H_m, -H_m]]
//
// Row 0 of H is all ones, so the outlier becomes the same offset in every y, which the zero point
// removes.
#pragma once

#include <cstdint>

namespace qtk::tah {

struct Peaks {
  int64_t pivot = 0;  // first element of the largest magnitude
  float largest = 0;
  float second = 0;  // magnitude
};

Peaks find_peaks(const float* tile, int64_t n);

/// In place; n is a power of two.
void rotate(float* tile, int64_t n, int64_t pivot);
/// Inverse of rotate().
void rotate_back(float* tile, int64_t n, int64_t pivot);

}  // namespace qtk::tah
