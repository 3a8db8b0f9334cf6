// Eight codes of a thread: how they are made of numbers and how they lie in a message, most
// significant bit first.
#pragma once

#include "scale_memory.cuh"

#include <type_traits>

namespace qtk::boundary {

/// Four codes each in the low 4 * width bits, the first one on top. Of eight bits: in the order of
/// the bytes in memory.
struct CodeWords {
  unsigned first, last;
};

// ---- in a message ------------------------------------------------------------------------------

/// @param to  a multiple of `width` bytes from a multiple of 16
__device__ inline void write_codes(uint8_t* to, const CodeWords& codes, int width) {
  if (width == 8) {
    *reinterpret_cast<uint2*>(to) = make_uint2(codes.first, codes.last);
  } else if (width == 4) {
    *reinterpret_cast<unsigned*>(to) = __byte_perm(codes.first, codes.last, 0x4501);
  } else if (width == 6) {
    auto* pairs = reinterpret_cast<uint16_t*>(to);
    pairs[0] = static_cast<uint16_t>(__byte_perm(codes.first, 0, 0x4412));
    pairs[1] = static_cast<uint16_t>(__byte_perm(codes.first, codes.last, 0x4460));
    pairs[2] = static_cast<uint16_t>(__byte_perm(codes.last, 0, 0x4401));
  } else {
    const uint64_t stream = static_cast<uint64_t>(codes.first) << (4 * width) | codes.last;
#pragma unroll
    for (int byte = 0; byte < 7; ++byte)
      if (byte < width) to[byte] = static_cast<uint8_t>(stream >> (8 * (width - 1 - byte)));
  }
}

/// Inverse of write_codes().
__device__ inline CodeWords read_codes(const uint8_t* from, int width) {
  if (width == 8) {
    const uint2 bytes = __ldg(reinterpret_cast<const uint2*>(from));
    return {bytes.x, bytes.y};
  }
  if (width == 4) {
    const unsigned word = __byte_perm(__ldg(reinterpret_cast<const unsigned*>(from)), 0, 0x0123);
    return {word >> 16, word & 0xffffU};
  }
  if (width == 6) {
    const auto* pairs = reinterpret_cast<const uint16_t*>(from);
    const unsigned a = __ldg(pairs), b = __ldg(pairs + 1), c = __ldg(pairs + 2);
    return {__byte_perm(a, b, 0x7014) & 0xffffffU, __byte_perm(b, c, 0x7145) & 0xffffffU};
  }
  uint64_t stream = 0;
#pragma unroll
  for (int byte = 0; byte < 7; ++byte)
    if (byte < width) stream = stream << 8 | __ldg(from + byte);
  return {static_cast<unsigned>(stream >> (4 * width)),
          static_cast<unsigned>(stream) & ((1U << (4 * width)) - 1)};
}

// ---- from numbers ------------------------------------------------------------------------------

/// Whether a scale has at most 11 significant bits and is far from the ends of the exponent.
__device__ inline bool is_short(float scale) {
  return (__float_as_uint(scale) & 0x1fffU) == 0 && scale > 1e-20F && scale < 1e20F;
}

/// Codes of 16-bit numbers by short scales, of two bits or more, with two operations a quotient
/// instead of five.
///
/// x / s * H of numbers of 11 significant bits each is half an odd number, or at least 2^-13 away
/// from one. Beside 2^width, f32 has a last place of 2^(width - 23); x times the rounded inverse is
/// off by less than half of that. So fma(x, H / s, 2^width + H) is a half exactly where the
/// quotient is one, and the cast to subnormal f16, whose unit is 2^-24, rounds it half to even. The
/// low `width` bits of the f16 are the code.
struct ShortCoder {
  float base, least, most;
  unsigned factor, offsets;  // what 2^width in each code adds up to
  int bits, width;

  __device__ ShortCoder(int bits, int width) : bits(bits), width(width) {
    const auto whole = static_cast<float>(1 << width);
    base = (whole + static_cast<float>(1 << (bits - 1))) * kSubnormal;
    least = whole * kSubnormal, most = (whole + static_cast<float>((1 << bits) - 1)) * kSubnormal;
    factor = 1U << width;
    const unsigned two = (1 + factor) * factor * 0x10001U;
    offsets = width <= 4 ? two * (1 + factor * factor) : two;
    asm("" : "+r"(factor));  // as in ShortPacker
  }
  /// H / s.
  __device__ float inverse(float scale) const {
    return inverse_of(scale) * static_cast<float>(1 << (bits - 1)) * kSubnormal;
  }
  __device__ float place(float value, float inverse) const {
    return fminf(fmaxf(least, __fmaf_rn(value, inverse, base)), most);
  }
  /// Of what place() gives.
  __device__ CodeWords pack(const Octet& u) const {
    if (width == 8)
      return {__byte_perm(round_two(u[0], u[1]), round_two(u[2], u[3]), 0x6420),
              __byte_perm(round_two(u[4], u[5]), round_two(u[6], u[7]), 0x6420)};
    const unsigned a = round_two(u[0], u[4]) * factor + round_two(u[1], u[5]),
                   b = round_two(u[2], u[6]) * factor + round_two(u[3], u[7]),
                   square = factor * factor;
    if (width <= 4) {
      const unsigned all = a * square + b - offsets;
      return {all & 0xffffU, all >> 16};
    }
    const unsigned c = a - offsets, d = b - offsets;
    return {(c & 0xffffU) * square + (d & 0xffffU), (c >> 16) * square + (d >> 16)};
  }
};

/// Codes of any numbers by any scale; u comes from Coder::code().
struct AnyCoder {
  Coder coder;
  Packer packer;

  __device__ AnyCoder(int bits, int width) : coder(bits), packer(coder.packer(width)) {}

  __device__ CodeWords pack(const Octet& u) const {
    if (packer.bits == 8 && coder.half > 1) {
      const uint2 bytes = pack_bytes(u, coder.half);
      return {bytes.x, bytes.y};
    }
    const CodeWords words{packer.four(u, 0) - packer.of_four,
                          packer.four(u + 4, 0) - packer.of_four};
    if (packer.bits < 8) return words;
    return {__byte_perm(words.first, 0, 0x0123), __byte_perm(words.last, 0, 0x0123)};
  }
};

/// Calls visit(code), where code(v) gives the codes of eight channels with these scales.
template <class T, class Visit>
__device__ void with_channel_coder(const CodeForm& form, const Octet& scale, const Visit& visit) {
  bool are_short = sizeof(T) == 2 && form.bits > 1;
#pragma unroll
  for (const float each : scale) are_short = are_short && is_short(each);
  if (are_short) {
    const ShortCoder coder(form.bits, form.width);
    Octet inverse;
#pragma unroll
    for (int i = 0; i < 8; ++i) inverse[i] = coder.inverse(scale[i]);
    visit([&](Octet& v) {
#pragma unroll
      for (int i = 0; i < 8; ++i) v[i] = coder.place(v[i], inverse[i]);
      return coder.pack(v);
    });
  } else {
    const AnyCoder any(form.bits, form.width);
    Divider by[8];
    bool is_extreme = false;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      by[i] = any.coder.divider(scale[i]);
      is_extreme = is_extreme || by[i].is_extreme;
    }
    visit([&](Octet& v) {
      any.coder.code(v, by, is_extreme);
      return any.pack(v);
    });
  }
}

// ---- to numbers --------------------------------------------------------------------------------

/// Codes less `half`.
__device__ inline void center_codes(const CodeWords& codes, int width, float half, Octet& v) {
  constexpr unsigned kExponent = 0x4B000000U;  // of 2^23, whose unit in the last place is 1
  const float offset = 8388608.0F + half;
  if (width == 8) {
#pragma unroll
    for (int i = 0; i < 8; ++i)
      v[i] = __uint_as_float(__byte_perm(i < 4 ? codes.first : codes.last, kExponent,
                                         0x7440U + static_cast<unsigned>(i % 4))) -
             offset;
    return;
  }
  const unsigned mask = (1U << width) - 1;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int shift = width * (3 - i);
    v[i] = __uint_as_float((codes.first >> shift & mask) | kExponent) - offset;
    v[4 + i] = __uint_as_float((codes.last >> shift & mask) | kExponent) - offset;
  }
}

}  // namespace qtk::boundary
