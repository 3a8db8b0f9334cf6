#include "tile_rotation.hpp"

#include <boundary_codec/vector_clones.hpp>

#include <cmath>
#include <utility>

namespace qtk::tah {
namespace {

/// v H_n / sqrt(n) by log2(n) butterfly steps; its own inverse.
QTK_VECTOR_CLONES
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

// Three short passes that a compiler turns into vector code, where one pass with branches stays
// scalar.
QTK_VECTOR_CLONES
Peaks find_peaks(const float* tile, int64_t n) {
  Peaks peaks;
  if (std::isnan(tile[0])) return {.largest = tile[0]};
  float largest = 0;
#pragma omp simd reduction(max : largest)
  for (int64_t i = 0; i < n; ++i)
    largest = std::abs(tile[i]) > largest ? std::abs(tile[i]) : largest;
  peaks.largest = largest;
  while (std::abs(tile[peaks.pivot]) != largest) ++peaks.pivot;
  float second = 0;
#pragma omp simd reduction(max : second)
  for (int64_t i = 0; i < n; ++i) {
    const float magnitude = i == peaks.pivot ? 0.0F : std::abs(tile[i]);
    second = magnitude > second ? magnitude : second;
  }
  peaks.second = second;
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
