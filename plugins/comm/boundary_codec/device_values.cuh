// Device code that the kernels of the boundary compressors share: eight neighbouring numbers in
// registers, casts that stay finite, and copies between shared memory and messages.
#pragma once

#include <boundary_codec/number.hpp>
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

namespace qtk::boundary {

using Octet = float[8];

// ---- eight numbers, 16-byte accesses ---------------------------------------------------------

__device__ inline void unpack(const uint4& raw, Octet& v, const __nv_bfloat16*) {
  const unsigned word[4] = {raw.x, raw.y, raw.z, raw.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    v[2 * i] = __uint_as_float(word[i] << 16);
    v[2 * i + 1] = __uint_as_float(word[i] & 0xffff0000U);
  }
}
__device__ inline void unpack(const uint4& raw, Octet& v, const __half*) {
  const unsigned word[4] = {raw.x, raw.y, raw.z, raw.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float2 pair = __half22float2(*reinterpret_cast<const __half2*>(&word[i]));
    v[2 * i] = pair.x, v[2 * i + 1] = pair.y;
  }
}

/// What a thread keeps of eight numbers until it needs them.
template <class T>
struct Raw {
  uint4 at;

  __device__ void load(const T* from) { at = __ldg(reinterpret_cast<const uint4*>(from)); }
  __device__ void clear() { at = make_uint4(0, 0, 0, 0); }
  __device__ void get(Octet& v) const { unpack(at, v, static_cast<const T*>(nullptr)); }
};
template <>
struct Raw<float> {
  float4 low, high;

  __device__ void load(const float* from) {
    low = __ldg(reinterpret_cast<const float4*>(from));
    high = __ldg(reinterpret_cast<const float4*>(from) + 1);
  }
  __device__ void clear() { low = high = make_float4(0, 0, 0, 0); }
  __device__ void get(Octet& v) const {
    v[0] = low.x, v[1] = low.y, v[2] = low.z, v[3] = low.w;
    v[4] = high.x, v[5] = high.y, v[6] = high.z, v[7] = high.w;
  }
};

// ---- casts -----------------------------------------------------------------------------------

__device__ inline float widen(float value) { return value; }
__device__ inline float widen(__nv_bfloat16 value) { return __bfloat162float(value); }
__device__ inline float widen(__half value) { return __half2float(value); }

template <class T>
struct Largest;
template <>
struct Largest<float> {
  static constexpr float kValue = 3.402823466e+38F;
};
template <>
struct Largest<__nv_bfloat16> {
  static constexpr float kValue = 3.3895313892515355e+38F;
};
template <>
struct Largest<__half> {
  static constexpr float kValue = 65504.0F;
};

/// Finite values stay finite; infinity and NaN stay what they are.
template <class T>
__device__ float cut_to(float value) {
  constexpr float kLargest = Largest<T>::kValue;
  const float magnitude = fabsf(value);
  return magnitude > kLargest && magnitude < INFINITY ? copysignf(kLargest, value) : value;
}

__device__ inline void cast(float value, float& to) { to = value; }
__device__ inline void cast(float value, __nv_bfloat16& to) { to = __float2bfloat16_rn(value); }
__device__ inline void cast(float value, __half& to) { to = __float2half_rn(value); }

template <class T>
__device__ T saturated_cast(float value) {
  T narrow;
  cast(cut_to<T>(value), narrow);
  return narrow;
}

__device__ inline void store(float* to, const Octet& v) {
  reinterpret_cast<float4*>(to)[0] = make_float4(v[0], v[1], v[2], v[3]);
  reinterpret_cast<float4*>(to)[1] = make_float4(v[4], v[5], v[6], v[7]);
}
template <class T>
__device__ void store_narrow(T* to, const Octet& v) {
  T narrow[8];
#pragma unroll
  for (int i = 0; i < 8; ++i) cast(v[i], narrow[i]);
  *reinterpret_cast<uint4*>(to) = *reinterpret_cast<const uint4*>(narrow);
}
__device__ inline void store(__nv_bfloat16* to, const Octet& v) { store_narrow(to, v); }
__device__ inline void store(__half* to, const Octet& v) { store_narrow(to, v); }

/// Finite values stay finite; `may_exceed` if one could be beyond T.
template <class T>
__device__ void store_cut(T* to, Octet& v, bool may_exceed = true) {
  if constexpr (sizeof(T) == 2) {
    if (may_exceed) {
#pragma unroll
      for (float& value : v) value = cut_to<T>(value);
    }
  }
  store(to, v);
}

// ---- codes -----------------------------------------------------------------------------------

/// 1.5 * 2^23: adding it to |u| < 2^22 rounds half to even, and the low bits are the integer.
constexpr float kShift = 12582912.0F;
constexpr unsigned kShiftBits = 0x4B400000U;

/// Eight codes of 1 to 8 bits, most significant bit first: round(u) + offset for each u. Up to four
/// bits fit in one word, more take two.
struct Packer {
  unsigned factor, of_four, of_eight;  // what the exponents of four and of eight numbers add up to
  int bits;

  __device__ explicit Packer(int bits, unsigned offset = 0) : factor(1U << bits), bits(bits) {
    of_four = (kShiftBits - offset) * (1 + factor) * (1 + factor * factor);
    of_eight = of_four * (1 + (1U << (4 * bits & 31)));
  }
  __device__ unsigned four(const float* u, unsigned stream) const {
#pragma unroll
    for (int i = 0; i < 4; ++i) stream = stream * factor + __float_as_uint(u[i] + kShift);
    return stream;
  }
  /// For up to four bits: the codes in the low 8 * bits bits.
  __device__ unsigned word(const Octet& u) const { return four(u + 4, four(u, 0)) - of_eight; }
  /// The codes in the low 8 * bits bits.
  __device__ uint64_t pack(const Octet& u) const {
    if (bits <= 4) return word(u);
    return static_cast<uint64_t>(four(u, 0) - of_four) << (4 * bits) | (four(u + 4, 0) - of_four);
  }
};

/// The unit of the subnormal f16 numbers: casting a number times it rounds half to even, and the
/// bits of the result are the integer.
constexpr float kSubnormal = 0x1p-24F;

/// Two numbers times kSubnormal as integers, the first one in the lower half.
__device__ inline unsigned round_two(float first, float second) {
  const __half2 pair = __floats2half2_rn(first, second);
  return *reinterpret_cast<const unsigned*>(&pair);
}

/// Eight codes of up to four bits, of numbers times kSubnormal.
struct ShortPacker {
  unsigned factor;

  __device__ explicit ShortPacker(int bits) : factor(1U << bits) {
    // One multiplication with addition is less than a shift and an addition: hide that it is a
    // power of two.
    asm("" : "+r"(factor));
  }

  /// The first four codes in the low 4 * bits bits of the lower half, the others in the upper half.
  __device__ unsigned pack(const Octet& u) const {
    return join(round_two(u[0], u[4]), round_two(u[1], u[5]), round_two(u[2], u[6]),
                round_two(u[3], u[7]));
  }
  /// Of a code in each half.
  __device__ unsigned join(unsigned first, unsigned second, unsigned third, unsigned fourth) const {
    return ((first * factor + second) * factor + third) * factor + fourth;
  }
};

/// Writes the low `count` bytes of `stream`, most significant first, with the widest stores that
/// the count and the address allow.
__device__ inline void put_bytes(uint8_t* to, uint64_t stream, int count) {
  unsigned first, second = 0;
  if (count <= 4) {
    first = static_cast<unsigned>(stream) << (32 - 8 * count);
  } else {
    const uint64_t left = stream << (64 - 8 * count);
    first = static_cast<unsigned>(left >> 32), second = static_cast<unsigned>(left);
  }
  first = __byte_perm(first, 0, 0x0123), second = __byte_perm(second, 0, 0x0123);
  const auto alignment = static_cast<unsigned>(reinterpret_cast<uintptr_t>(to)) | count;
  if ((alignment & 3) == 0) {
    reinterpret_cast<unsigned*>(to)[0] = first;
    if (count == 8) reinterpret_cast<unsigned*>(to)[1] = second;
  } else if ((alignment & 1) == 0) {
    auto* halves = reinterpret_cast<uint16_t*>(to);
    halves[0] = static_cast<uint16_t>(first);
    if (count > 2) halves[1] = static_cast<uint16_t>(first >> 16);
    if (count > 4) halves[2] = static_cast<uint16_t>(second);
    if (count > 6) halves[3] = static_cast<uint16_t>(second >> 16);
  } else {
#pragma unroll
    for (int byte = 0; byte < 8; ++byte)
      if (byte < count)
        to[byte] = static_cast<uint8_t>((byte < 4 ? first : second) >> (8 * (byte & 3)));
  }
}

/// Inverse of put_bytes.
__device__ inline uint64_t get_bytes(const uint8_t* from, int count) {
  const auto alignment = static_cast<unsigned>(reinterpret_cast<uintptr_t>(from)) | count;
  if (count > 0 && (alignment & 3) == 0) {
    const uint64_t first = __byte_perm(reinterpret_cast<const unsigned*>(from)[0], 0, 0x0123);
    if (count == 4) return first;
    return first << 32 | __byte_perm(reinterpret_cast<const unsigned*>(from)[1], 0, 0x0123);
  }
  uint64_t stream = 0;
#pragma unroll
  for (int byte = 0; byte < 8; ++byte)
    if (byte < count) stream = stream << 8 | from[byte];
  return stream;
}

/// Eight codes as floats.
__device__ inline void unpack_codes(uint64_t stream, int bits, Octet& codes) {
  constexpr unsigned kExponent = 0x4B000000U;  // of 2^23, whose unit in the last place is 1
  const unsigned mask = (1U << bits) - 1;
  const auto high = static_cast<unsigned>(stream >> (4 * bits)),
             low = static_cast<unsigned>(stream);
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int shift = bits * (3 - i);
    codes[i] = __uint_as_float((high >> shift & mask) | kExponent) - 8388608.0F;
    codes[4 + i] = __uint_as_float((low >> shift & mask) | kExponent) - 8388608.0F;
  }
}

/// round(u) + offset for each u, a byte each; the offset is even.
__device__ inline uint2 pack_bytes(const Octet& u, float offset) {
  const float shift = kShift + offset;
  const auto four = [&](const float* from) {
    const auto bits = [&](int i) { return __float_as_uint(from[i] + shift); };
    return __byte_perm(__byte_perm(bits(0), bits(1), 0x0040), __byte_perm(bits(2), bits(3), 0x0040),
                       0x5410);
  };
  return make_uint2(four(u), four(u + 4));
}

// ---- division --------------------------------------------------------------------------------

/// Quotients by one divisor, rounded as IEEE division rounds them: three operations, where neither
/// the inverse nor a remainder comes near the ends of the exponent.
struct Divider {
  float divisor = 1, inverse = 1;
  bool is_extreme = false;

  __device__ Divider() {}
  __device__ explicit Divider(float by) {
    divisor = by, inverse = __frcp_rn(by);
    is_extreme = !(by > 1e-27F && by < 1e37F);
  }

  __device__ float moderate(float dividend) const {
    const float quotient = __fmul_rn(dividend, inverse);
    return __fmaf_rn(__fmaf_rn(-quotient, divisor, dividend), inverse, quotient);
  }
  __device__ float any(float dividend) const { return __fdiv_rn(dividend, divisor); }
};

/// 1 / by for numbers far from the ends of the exponent. With a step of Newton's, as near as f32
/// comes but for 2^-20 of a last place.
__device__ inline float inverse_of(float by) {
  float inverse;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(inverse) : "f"(by));
  return __fmaf_rn(inverse, __fmaf_rn(-inverse, by, 1.0F), inverse);
}

/// The inverse of a divisor in two parts, each times kSubnormal. With a divisor of at most
/// 11 significant bits, fma(x, inverse, x * rest) rounds to the integer that the exact quotient
/// rounds to: a quotient halfway between two integers comes out exactly, and any other is at least
/// 2^-24 of it away.
struct Reciprocal {
  float divisor, inverse, rest;
  bool is_moderate;

  __device__ explicit Reciprocal(float by) {
    divisor = by;
    const float whole = inverse_of(by);
    inverse = whole * kSubnormal;
    rest = __fmaf_rn(-whole, by, 1.0F) * inverse;
    is_moderate = by > 1e-27F && by < 1e20F;
  }
};

// ---- copies ----------------------------------------------------------------------------------

/// Place in shared memory with the same distance from a multiple of 16 as `global`.
__device__ inline uint8_t* matched(uint8_t* aligned_shared, const void* global) {
  return aligned_shared + (reinterpret_cast<uintptr_t>(global) & 15);
}

/// Copies bytes between places matched() to each other, by `lanes` threads.
__device__ inline void copy_bytes(uint8_t* to, const uint8_t* from, int count, int lane,
                                  int lanes) {
  const int head = min(count, static_cast<int>(-reinterpret_cast<uintptr_t>(to) & 15));
  const int vectors = (count - head) / 16;
  for (int i = lane; i < vectors; i += lanes)
    reinterpret_cast<uint4*>(to + head)[i] = reinterpret_cast<const uint4*>(from + head)[i];
  const int tail = head + 16 * vectors;
  for (int i = lane; i < head; i += lanes) to[i] = from[i];
  for (int i = tail + lane; i < count; i += lanes) to[i] = from[i];
}

/// The same into shared memory, without waiting: wait_for_loads() does, then a barrier.
__device__ inline void start_loading(uint8_t* shared, const uint8_t* from, int count, int lane,
                                     int lanes) {
  const int head = min(count, static_cast<int>(-reinterpret_cast<uintptr_t>(shared) & 15));
  const int vectors = (count - head) / 16, tail = head + 16 * vectors;
  for (int i = lane; i < vectors; i += lanes) {
    const auto to = static_cast<unsigned>(__cvta_generic_to_shared(shared + head + 16 * i));
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(from + head + 16 * i)
                 : "memory");
  }
  for (int i = lane; i < head; i += lanes) shared[i] = from[i];
  for (int i = tail + lane; i < count; i += lanes) shared[i] = from[i];
}
__device__ inline void wait_for_loads() { asm volatile("cp.async.wait_all;" ::: "memory"); }

}  // namespace qtk::boundary
