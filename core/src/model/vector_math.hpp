// Vectors of floats for the fused CPU loops, as GCC's vector extension: one source serves every
// instruction set that QTK_CPU_CLONES names. Everything here is inlined into the loops.
#pragma once

#include <cstdint>
#include <cstring>

// The loader picks the widest clone that the processor has.
#if defined(__x86_64__)
#define QTK_CPU_CLONES __attribute__((target_clones("default", "arch=x86-64-v3")))
#else
#define QTK_CPU_CLONES
#endif
#define QTK_INLINE __attribute__((always_inline)) inline

// GCC notes that passing such vectors between functions depends on the instruction set; nothing
// here is ever a call.
#pragma GCC diagnostic ignored "-Wpsabi"

namespace qtk::model {

/// What the clones compute with: 8 floats, one AVX register. (Wider ones than the processor has
/// would be compared lane by lane.) Sources that choose their instruction set themselves use
/// vectors of 16 as well.
typedef float Float4 __attribute__((vector_size(16)));
typedef float Float8 __attribute__((vector_size(32)));
typedef float Float16 __attribute__((vector_size(64)));
typedef int32_t Int8 __attribute__((vector_size(32)));
typedef int32_t Int16 __attribute__((vector_size(64)));
using Floats = Float8;
constexpr int kLanes = 8;

template <class Vector>
struct Related;
template <>
struct Related<Float8> {
  using Half = Float4;
  using Integers = Int8;
};
template <>
struct Related<Float16> {
  using Half = Float8;
  using Integers = Int16;
};

template <class Vector>
QTK_INLINE Vector load(const float* from) {
  Vector value;
  std::memcpy(&value, from, sizeof value);
  return value;
}
template <class Vector>
QTK_INLINE void store(float* to, const Vector& value) {
  std::memcpy(to, &value, sizeof value);
}
/// The first `count` floats, fewer than a vector holds; the rest 0.
template <class Vector>
QTK_INLINE Vector load_part(const float* from, int64_t count) {
  Vector value{};
  std::memcpy(&value, from, static_cast<size_t>(count) * sizeof(float));
  return value;
}
template <class Vector>
QTK_INLINE void store_part(float* to, const Vector& value, int64_t count) {
  std::memcpy(to, &value, static_cast<size_t>(count) * sizeof(float));
}

/// Sum and maximum over the lanes, by halves.
template <class Vector>
QTK_INLINE float sum(const Vector& v) {
  if constexpr (sizeof(Vector) == 16) {
    return (v[0] + v[2]) + (v[1] + v[3]);
  } else {
    using Half = typename Related<Vector>::Half;
    Half half[2];
    std::memcpy(half, &v, sizeof v);
    return sum<Half>(half[0] + half[1]);
  }
}
template <class Vector>
QTK_INLINE float largest(const Vector& v) {
  if constexpr (sizeof(Vector) == 16) {
    const float even = v[0] > v[2] ? v[0] : v[2], odd = v[1] > v[3] ? v[1] : v[3];
    return even > odd ? even : odd;
  } else {
    using Half = typename Related<Vector>::Half;
    Half half[2];
    std::memcpy(half, &v, sizeof v);
    return largest<Half>(half[0] > half[1] ? half[0] : half[1]);
  }
}

/// e^x to about one unit in the last place; below -87 it gives 1e-38 instead of less, above 88 it
/// saturates, NaN stays.
template <class Vector>
QTK_INLINE Vector exponential(const Vector& of) {
  constexpr float kRound =
      12582912.0f;  // 1.5 * 2^23: adding it leaves the rounded integer in the low bits
  constexpr float kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
  const Vector low = Vector{} - 87.3f, high = Vector{} + 88.3f;
  Vector x = of < low ? low : of;
  x = x > high ? high : x;
  const Vector shifted = x * 1.44269504f + kRound;
  const Vector count = shifted - kRound;
  const Vector r = (x - count * kLn2High) - count * kLn2Low;
  // Minimax polynomial of e^r on [-ln(2)/2, ln(2)/2], relative error 2e-9.
  Vector p = r * 1.38367421e-3f + 8.37489870e-3f;
  p = p * r + 4.16682325e-2f;
  p = p * r + 1.66664198e-1f;
  p = p * r + 4.99999911e-1f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  typename Related<Vector>::Integers exponent;
  std::memcpy(&exponent, &shifted, sizeof exponent);
  exponent = (exponent - 0x4b400000 + 127) << 23;  // 0x4b400000: the bits of kRound
  Vector scale;
  std::memcpy(&scale, &exponent, sizeof scale);
  return p * scale;
}

}  // namespace qtk::model
