#include "tile_rotation.hpp"

#include <cmath>
#include <utility>

namespace qtk::tah {
namespace {

/// v H_n / sqrt(n) by log2(n) butterfly steps; its own inverse.
void hadamard(float* v, int64_t n) {
  for (int64_t width = 1; width < n; width *= 2)
    for (int64_t block = 0; block < n; block += 2 * width)
#pragma omp simd
      for (int64_t i = block; i < block + width; ++i) {
        const float a = v[i], b = v[i + width];
        v[i] = a + b;
        v[i + width] = a - b;
      }
  const float scale = 1.0F / std::sqrt(static_cast<float>(n));
  for (int64_t i = 0; i < n; ++i) v[i] *= scale;
}

}  // namespace

Peaks find_peaks(const float* tile, int64_t n) {
  Peaks peaks;
  peaks.largest = std::abs(tile[0]);
  for (int64_t i = 1; i < n; ++i) {
    const float magnitude = std::abs(tile[i]);
    if (magnitude > peaks.largest) {
      peaks.second = peaks.largest;
      peaks.largest = magnitude;
      peaks.pivot = i;
    } else if (magnitude > peaks.second) {
      peaks.second = magnitude;
    }
  }
  return peaks;
}

void rotate(float* tile, int64_t n, int64_t pivot) {
  std::swap(tile[0], tile[pivot]);
  hadamard(tile, n);
}

void rotate_back(float* tile, int64_t n, int64_t pivot) {
  hadamard(tile, n);
  std::swap(tile[0], tile[pivot]);
}

}  // namespace qtk::tah
