#include "format/ggml_blocks.hpp"
#include "format/ggml_kernels.hpp"

#include <c10/util/Half.h>

#include <algorithm>
#include <bit>
#include <cstring>

// Bit-identity with ggml needs products and sums rounded one by one; -O3 lets GCC 12 vectorise all
// the loops.
#if defined(__clang__)
#pragma clang fp contract(off)
#else
#pragma GCC optimize("O3", "fp-contract=off")
#endif

namespace qtk::format::kernels {
namespace {

constexpr int kBlock = 32;

uint16_t fp16(float x) { return c10::detail::fp16_ieee_from_fp32_value(x); }

int32_t magnitude_bits(float x) { return std::bit_cast<int32_t>(x) & 0x7fffffff; }

/// Bits of a float as an integer of the same order: lets maxima vectorise where float rules (NaN,
/// -0) would not.
int32_t ordered(float x) {
  const auto bits = std::bit_cast<int32_t>(x);
  return bits ^ ((bits >> 31) & 0x7fffffff);
}

float from_ordered(int32_t bits) {
  return std::bit_cast<float>(bits ^ ((bits >> 31) & 0x7fffffff));
}

float max_magnitude(const float* x) {
  int32_t largest = 0;
  for (int i = 0; i < kBlock; ++i) largest = std::max(largest, magnitude_bits(x[i]));
  return std::bit_cast<float>(largest);
}

/// The first weight of largest magnitude, with its sign.
float extreme(const float* x) {
  const int32_t magnitude = magnitude_bits(max_magnitude(x));
  for (int i = 0; i < kBlock; ++i)
    if (magnitude_bits(x[i]) == magnitude) return x[i];
  return 0;
}

struct Range {
  float low, high;
};

Range range_of(const float* x) {
  int32_t low = ordered(x[0]), high = low;
  for (int i = 0; i < kBlock; ++i) {
    low = std::min(low, ordered(x[i]));
    high = std::max(high, ordered(x[i]));
  }
  return {from_ordered(low), from_ordered(high)};
}

float inverse(float d) { return d == 0 ? 0.0f : 1.0f / d; }

/// Truncates to [0, largest]. Also safe where a tiny scale made x infinite.
uint8_t code(float x, float largest) {
  x = x < largest ? x : largest;
  x = x > 0 ? x : 0;
  return static_cast<uint8_t>(static_cast<int32_t>(x));
}

/// Symmetric codes with an offset: code = trunc(x / d + offset + 0.5), d = extreme / -offset.
/// Returns d.
float encode_symmetric(const float* x, int offset, uint8_t* codes) {
  const float d = extreme(x) / static_cast<float>(-offset);
  const float id = inverse(d);
  const float shift = static_cast<float>(offset) + 0.5f;
  for (int i = 0; i < kBlock; ++i)
    codes[i] = code(x[i] * id + shift, static_cast<float>(2 * offset - 1));
  return d;
}

struct Affine {
  float d, m;
};

/// Codes over the block's range: code = trunc((x - min) / d + 0.5), d = range / largest.
Affine encode_affine(const float* x, int largest, uint8_t* codes) {
  const Range range = range_of(x);
  const float d = (range.high - range.low) / static_cast<float>(largest);
  const float id = inverse(d);
  for (int i = 0; i < kBlock; ++i)
    codes[i] = code((x[i] - range.low) * id + 0.5f, static_cast<float>(largest));
  return {d, range.low};
}

void pack_nibbles(const uint8_t* codes, uint8_t* q) {
  for (int i = 0; i < 16; ++i) q[i] = static_cast<uint8_t>((codes[i] & 15) | (codes[i + 16] << 4));
}

void pack_high_bits(const uint8_t* codes, uint8_t (&h)[4]) {
  for (int byte = 0; byte < 4; ++byte) {
    int bits = 0;
    for (int bit = 0; bit < 8; ++bit) bits |= (codes[8 * byte + bit] >> 4) << bit;
    h[byte] = static_cast<uint8_t>(bits);
  }
}

template <class Block>
Block* as(std::byte* blocks) {
  return reinterpret_cast<Block*>(blocks);
}

}  // namespace

bool all_within(const float* x, int64_t n, float limit) {
  int32_t largest = 0;  // NaN compares as larger than infinity
  for (int64_t i = 0; i < n; ++i) largest = std::max(largest, magnitude_bits(x[i]));
  return largest <= magnitude_bits(limit);
}

void quantize_f32(const float* x, int64_t count, std::byte* blocks) {
  std::memcpy(blocks, x, static_cast<size_t>(count) * sizeof(float));
}

void quantize_f16(const float* x, int64_t count, std::byte* blocks) {
  auto* __restrict out = as<uint16_t>(blocks);
  for (int64_t i = 0; i < count; ++i) out[i] = fp16(x[i]);
}

void quantize_bf16(const float* x, int64_t count, std::byte* blocks) {
  auto* __restrict out = as<uint16_t>(blocks);
  for (int64_t i = 0; i < count; ++i) {
    const auto bits = std::bit_cast<uint32_t>(x[i]);
    out[i] = static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >>
                                   16);  // to nearest, ties to even
  }
}

void quantize_q8_0(const float* x, int64_t count, std::byte* blocks) {
  auto* b = as<BlockQ8_0>(blocks);
  for (; count > 0; --count, ++b, x += kBlock) {
    const float d = max_magnitude(x) / 127.0f;
    const float id = inverse(d);
    b->d = fp16(d);
    for (int i = 0; i < kBlock; ++i) {
      // roundf: halves go away from zero. Written out, because a call would stop the loop from
      // vectorising.
      float y = x[i] * id;
      y = y < 127.0f ? y : 127.0f;
      y = y > -127.0f ? y : -127.0f;
      const auto whole = static_cast<int32_t>(y);
      const float rest = y - static_cast<float>(whole);
      b->q[i] = static_cast<int8_t>(whole + (rest >= 0.5f) - (rest <= -0.5f));
    }
  }
}

void quantize_q4_0(const float* x, int64_t count, std::byte* blocks) {
  auto* b = as<BlockQ4_0>(blocks);
  uint8_t codes[kBlock];
  for (; count > 0; --count, ++b, x += kBlock) {
    b->d = fp16(encode_symmetric(x, 8, codes));
    pack_nibbles(codes, b->q);
  }
}

void quantize_q4_1(const float* x, int64_t count, std::byte* blocks) {
  auto* b = as<BlockQ4_1>(blocks);
  uint8_t codes[kBlock];
  for (; count > 0; --count, ++b, x += kBlock) {
    const Affine grid = encode_affine(x, 15, codes);
    b->d = fp16(grid.d);
    b->m = fp16(grid.m);
    pack_nibbles(codes, b->q);
  }
}

void quantize_q5_0(const float* x, int64_t count, std::byte* blocks) {
  auto* b = as<BlockQ5_0>(blocks);
  uint8_t codes[kBlock];
  for (; count > 0; --count, ++b, x += kBlock) {
    b->d = fp16(encode_symmetric(x, 16, codes));
    pack_nibbles(codes, b->q);
    pack_high_bits(codes, b->h);
  }
}

void quantize_q5_1(const float* x, int64_t count, std::byte* blocks) {
  auto* b = as<BlockQ5_1>(blocks);
  uint8_t codes[kBlock];
  for (; count > 0; --count, ++b, x += kBlock) {
    const Affine grid = encode_affine(x, 31, codes);
    b->d = fp16(grid.d);
    b->m = fp16(grid.m);
    pack_nibbles(codes, b->q);
    pack_high_bits(codes, b->h);
  }
}

}  // namespace qtk::format::kernels
