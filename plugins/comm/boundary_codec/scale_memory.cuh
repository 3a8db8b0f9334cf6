// Scales in a message, largest magnitudes and sums of squares.
#pragma once

#include "fixpoint_kernels.hpp"

#include <boundary_codec/device_values.cuh>

namespace qtk::boundary {

constexpr unsigned kAllLanes = 0xffffffffU;

__device__ inline int scale_bytes(Number type) { return type == Number::kFloat ? 4 : 2; }

__device__ inline float read_scale(const uint8_t* scales, Number type, int64_t index) {
  const uint8_t* at = scales + index * scale_bytes(type);
  if (type == Number::kFloat) {
    if ((reinterpret_cast<uintptr_t>(at) & 3) == 0) return *reinterpret_cast<const float*>(at);
    return __uint_as_float(at[0] | at[1] << 8 | at[2] << 16 | static_cast<unsigned>(at[3]) << 24);
  }
  const unsigned bits = at[0] | at[1] << 8;
  return type == Number::kHalf ? __half2float(__ushort_as_half(static_cast<uint16_t>(bits)))
                               : __uint_as_float(bits << 16);
}

/// Eight neighbouring scales.
__device__ inline void read_scales(const uint8_t* scales, Number type, int64_t index,
                                   Octet& result) {
  const uint8_t* at = scales + index * scale_bytes(type);
  if (type == Number::kFloat && (reinterpret_cast<uintptr_t>(at) & 3) == 0) {
#pragma unroll
    for (int i = 0; i < 8; ++i) result[i] = reinterpret_cast<const float*>(at)[i];
  } else {
#pragma unroll
    for (int i = 0; i < 8; ++i) result[i] = read_scale(scales, type, index + i);
  }
}

/// A scale as it is on the wire: saturated.
__device__ inline float stored_scale(Number type, float value) {
  if (type == Number::kHalf) return __half2float(saturated_cast<__half>(value));
  if (type == Number::kBfloat16) return __bfloat162float(saturated_cast<__nv_bfloat16>(value));
  return value;
}

__device__ inline void write_scale(uint8_t* scales, Number type, int64_t index, float value) {
  uint8_t* at = scales + index * scale_bytes(type);
  unsigned bits = __float_as_uint(value);
  if (type == Number::kHalf) bits = __half_as_ushort(saturated_cast<__half>(value));
  if (type == Number::kBfloat16) bits = __bfloat16_as_ushort(saturated_cast<__nv_bfloat16>(value));
  for (int byte = 0; byte < scale_bytes(type); ++byte)
    at[byte] = static_cast<uint8_t>(bits >> (8 * byte));
}

/// The largest magnitude. As unsigned numbers, magnitudes have the order of their values, with
/// infinity and then NaN last.
struct LargestMagnitude {
  using Type = unsigned;

  __device__ static void add(unsigned& sum, float value) {
    sum = max(sum, __float_as_uint(value) & 0x7fffffffU);
  }
  __device__ static void join(unsigned& sum, unsigned other) { sum = max(sum, other); }
  __device__ static float scale(unsigned sum, int64_t) { return __uint_as_float(sum); }
};

/// Twice the root of the mean square. In f64, where squares of f32 neither overflow nor vanish.
struct MeanSquare {
  using Type = double;

  __device__ static void add(double& sum, float value) {
    const auto wide = static_cast<double>(value);
    sum += wide * wide;
  }
  __device__ static void join(double& sum, double other) { sum += other; }
  __device__ static float scale(double sum, int64_t count) {
    const double root = 2 * sqrt(sum / static_cast<double>(count));
    constexpr double kLargest = Largest<float>::kValue;
    return static_cast<float>(root > kLargest && root < INFINITY ? kLargest : root);
  }
};

/// From `first` on, every lane that differs in the bits above: their sums joined.
template <class Statistic>
__device__ typename Statistic::Type join_lanes(typename Statistic::Type sum, int first = 1) {
  for (int offset = first; offset < 32; offset *= 2)
    Statistic::join(sum, __shfl_xor_sync(kAllLanes, sum, offset));
  return sum;
}

/// A quotient whose divisor may be near the ends of the exponent: not a part of the loops that
/// divide by moderate ones. All by value, so that nothing of theirs moves to memory.
inline __device__ __noinline__ float any_quotient(float dividend, float divisor) {
  return __fdiv_rn(dividend, divisor);
}

/// u of eight values: x / s * H, cut to what codes hold.
struct Coder {
  float half, inverse;  // powers of two

  __device__ explicit Coder(int bits)
      : half(static_cast<float>(1 << (bits - 1))), inverse(1 / half) {}

  /// By s / H, so that the quotient needs no factor, unless that is extreme. Scale 0: x is 0, or
  /// below all scales.
  __device__ Divider divider(float scale) const {
    const float positive = scale > 0 ? scale : 1.0F;
    Divider by(positive * inverse);
    if (!by.is_extreme) return by;
    by = Divider(positive);
    by.is_extreme = true;
    return by;
  }
  __device__ float cut(float u) const { return fminf(fmaxf(-half, u), half - 1); }
  __device__ float code(float value, const Divider& by) const {
    return cut(by.is_extreme ? any_quotient(value, by.divisor) * half : by.moderate(value));
  }
  __device__ void code(Octet& v, const Divider (&by)[8], bool is_extreme) const {
    if (is_extreme) {
#pragma unroll
      for (int i = 0; i < 8; ++i) v[i] = code(v[i], by[i]);
    } else {
#pragma unroll
      for (int i = 0; i < 8; ++i) v[i] = cut(by[i].moderate(v[i]));
    }
  }
  __device__ void code(Octet& v, const Divider& by) const {
    if (by.is_extreme) {
#pragma unroll
      for (float& value : v) value = code(value, by);
    } else {
#pragma unroll
      for (float& value : v) value = cut(by.moderate(value));
    }
  }
  __device__ Packer packer(int width) const { return Packer(width, static_cast<unsigned>(half)); }
};

}  // namespace qtk::boundary
