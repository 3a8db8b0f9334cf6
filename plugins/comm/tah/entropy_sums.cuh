// Entropy on the device, and the order of scores as unsigned numbers.
#pragma once

#include <cstdint>

namespace qtk::tah {

constexpr float kTiny = 1e-30F;  // beside 1, nothing; its logarithm is finite

__device__ inline float log2_of(float value) {
  float result;
  asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(value));
  return result;
}

/// The power of two that brings a magnitude to [1, 2), as far as there is one.
__device__ inline float to_unit(float magnitude) {
  const unsigned exponent = min(__float_as_uint(magnitude) >> 23, 253U);
  return __uint_as_float((254U - exponent) << 23);
}

/// Sums over |x| and |x| log2 |x|, for the entropy log2 A - W / A, in bits.
struct EntropySums {
  float a = 0, w = 0;

  __device__ void add(float value, float scale) {
    add_magnitude(__fmaf_rn(fabsf(value), scale, kTiny));
  }
  /// An operation less; zeros leave sums that are not finite.
  __device__ void add_nonzero(float value, float scale) {
    add_magnitude(__fmul_rn(fabsf(value), scale));
  }
  __device__ void add_magnitude(float p) {
    a += p;
    w = __fmaf_rn(p, log2_of(p), w);
  }
  __device__ void join(const EntropySums& other) { a += other.a, w += other.w; }
  __device__ bool is_finite() const { return fabsf(w) < INFINITY && a < INFINITY; }
  /// As entropy() of allocation.cpp: 0 for zeros and NaN, NaN for infinity.
  __device__ float entropy(float largest) const {
    return largest == 0 || a != a ? 0.0F : log2_of(a) - __fdividef(w, a);
  }
};

/// Unsigned numbers in the order of the scores, NaN last.
__device__ inline unsigned key_of(float score) {
  if (score != score) return 0xfffffffeU;  // one below the largest: rank_of() adds 1
  const unsigned bits = __float_as_uint(score + 0.0F);
  return bits >> 31 ? ~bits : bits | 0x80000000U;
}

}  // namespace qtk::tah
