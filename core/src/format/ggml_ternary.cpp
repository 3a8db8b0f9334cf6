// The types of ternary weights: TQ1_0, TQ2_0 and Q2_0.
#include "format/ggml_blocks.hpp"
#include "format/ggml_kernels.hpp"

#include <c10/util/Half.h>

#include <algorithm>
#include <bit>
#include <cstddef>

// Bit-identity with ggml needs products and sums rounded one by one; -O3 lets GCC 12 vectorise all
// the loops.
#if defined(__clang__)
#pragma clang fp contract(off)
#else
#pragma GCC optimize("O3", "fp-contract=off")
#endif

namespace qtk::format::kernels {
namespace {

constexpr int kTernary = 256, kTwoBit = 64;
constexpr int kPowers[] = {81, 27, 9, 3, 1};

float fp16(uint16_t bits) { return c10::detail::fp16_ieee_to_fp32_value(bits); }
uint16_t fp16(float x) { return c10::detail::fp16_ieee_from_fp32_value(x); }

int32_t magnitude_bits(float x) { return std::bit_cast<int32_t>(x) & 0x7fffffff; }

float max_magnitude(const float* x, int n) {
  int32_t largest = 0;
  for (int i = 0; i < n; ++i) largest = std::max(largest, magnitude_bits(x[i]));
  return std::bit_cast<float>(largest);
}

/// round(x / d) + 1 in {0, 1, 2}, halves away from zero. Also safe where a tiny d makes 1 / d
/// infinite.
void encode_trits(const float* x, int n, float d, uint8_t* codes) {
  const float id = d == 0 ? 0.0f : 1.0f / d;
  for (int i = 0; i < n; ++i) {
    const float y = x[i] * id;
    codes[i] = static_cast<uint8_t>(1 + (y >= 0.5f) - (y <= -0.5f));
  }
}

/// One run of a TQ1_0 block: `trits` codes of weights `stride` apart in each of `stride` bytes.
/// The digits are a fraction of 243 in units of 1/256, rounded up, so that multiplying by 3 moves
/// the next digit into bits 8 and 9.
void pack_digits(const uint8_t* codes, ptrdiff_t stride, ptrdiff_t trits, uint8_t* bytes) {
  for (ptrdiff_t i = 0; i < stride; ++i) {
    int digits = 0;
    for (ptrdiff_t t = 0; t < trits; ++t) digits += codes[t * stride + i] * kPowers[t];
    bytes[i] = static_cast<uint8_t>((digits * 256 + 242) / 243);
  }
}

void unpack_digits(const uint8_t* bytes, ptrdiff_t stride, ptrdiff_t trits, float d, float* out) {
  int power = 1;
  for (ptrdiff_t t = 0; t < trits; ++t, power *= 3)
    for (ptrdiff_t i = 0; i < stride; ++i) {
      const int shifted = (bytes[i] * power) & 255;  // the digits before are gone
      out[t * stride + i] = static_cast<float>(((shifted * 3) >> 8) - 1) * d;
    }
}

template <class Block>
const Block* as(const std::byte* blocks) {
  return reinterpret_cast<const Block*>(blocks);
}

template <class Block>
Block* as(std::byte* blocks) {
  return reinterpret_cast<Block*>(blocks);
}

}  // namespace

std::optional<float> level_step(const float* x, int64_t n, bool has_double) {
  constexpr int32_t kInfinity = 0x7f800000;
  int32_t least = kInfinity;
  for (int64_t i = 0; i < n; ++i) {
    const int32_t bits = magnitude_bits(x[i]);
    least = std::min(least, bits == 0 ? kInfinity : bits);
  }
  if (least == kInfinity) return 0.0f;  // zeros only (or no number at all, refused elsewhere)
  const auto step = std::bit_cast<float>(least);
  bool is_off = false, has_low = false, has_high = false;
  for (int64_t i = 0; i < n; ++i) {
    const bool is_double = magnitude_bits(x[i]) == magnitude_bits(2 * step);
    is_off |= x[i] != 0 && magnitude_bits(x[i]) != least && !is_double;
    has_low |= is_double && x[i] < 0;
    has_high |= is_double && x[i] > 0;
  }
  if (is_off || (has_low && has_high) || ((has_low || has_high) && !has_double)) return {};
  return has_low ? -step : step;
}

void dequantize_tq1_0(const std::byte* blocks, int64_t count, float* __restrict out) {
  const auto* b = as<BlockTQ1_0>(blocks);
  for (; count > 0; --count, ++b, out += kTernary) {
    const float d = fp16(b->d);
    unpack_digits(b->q, 32, 5, d, out);
    unpack_digits(b->q + 32, 16, 5, d, out + 160);
    unpack_digits(b->h, 4, 4, d, out + 240);
  }
}

void dequantize_tq2_0(const std::byte* blocks, int64_t count, float* __restrict out) {
  const auto* b = as<BlockTQ2_0>(blocks);
  for (; count > 0; --count, ++b, out += kTernary) {
    const float d = fp16(b->d);
    for (ptrdiff_t half = 0; half < 2; ++half)
      for (ptrdiff_t k = 0; k < 4; ++k)
        for (ptrdiff_t i = 0; i < 32; ++i)
          out[128 * half + 32 * k + i] =
              static_cast<float>(((b->q[32 * half + i] >> (2 * k)) & 3) - 1) * d;
  }
}

void dequantize_q2_0(const std::byte* blocks, int64_t count, float* __restrict out) {
  const auto* b = as<BlockQ2_0>(blocks);
  for (; count > 0; --count, ++b, out += kTwoBit) {
    const float d = fp16(b->d);
    for (ptrdiff_t i = 0; i < kTwoBit; ++i)
      out[i] = static_cast<float>(((b->q[i / 4] >> (i % 4 * 2)) & 3) - 1) * d;
  }
}

void quantize_tq1_0(const float* x, int64_t count, std::byte* blocks) {
  auto* b = as<BlockTQ1_0>(blocks);
  uint8_t codes[kTernary];
  for (; count > 0; --count, ++b, x += kTernary) {
    const float d = max_magnitude(x, kTernary);
    encode_trits(x, kTernary, d, codes);
    pack_digits(codes, 32, 5, b->q);
    pack_digits(codes + 160, 16, 5, b->q + 32);
    pack_digits(codes + 240, 4, 4, b->h);
    b->d = fp16(d);
  }
}

void quantize_tq2_0(const float* x, int64_t count, std::byte* blocks) {
  auto* b = as<BlockTQ2_0>(blocks);
  uint8_t codes[kTernary];
  for (; count > 0; --count, ++b, x += kTernary) {
    const float d = max_magnitude(x, kTernary);
    encode_trits(x, kTernary, d, codes);
    for (ptrdiff_t half = 0; half < 2; ++half)
      for (ptrdiff_t i = 0; i < 32; ++i) {
        const uint8_t* c = codes + 128 * half + i;
        b->q[32 * half + i] =
            static_cast<uint8_t>(c[0] | (c[32] << 2) | (c[64] << 4) | (c[96] << 6));
      }
    b->d = fp16(d);
  }
}

void quantize_q2_0(const float* x, int64_t count, std::byte* blocks) {
  auto* b = as<BlockQ2_0>(blocks);
  uint8_t codes[kTwoBit];
  for (; count > 0; --count, ++b, x += kTwoBit) {
    const float largest = max_magnitude(x, kTwoBit);
    const auto step = level_step(x, kTwoBit, /*has_double=*/true);
    const bool has_fourth = step && *step != 0 && 2 * std::abs(*step) == largest;
    const float d = has_fourth ? *step : largest;
    encode_trits(x, kTwoBit, d, codes);
    if (has_fourth)
      for (int i = 0; i < kTwoBit; ++i)
        if (x[i] == 2 * d) codes[i] = 3;
    for (ptrdiff_t i = 0; i < kTwoBit / 4; ++i) {
      const uint8_t* c = codes + 4 * i;
      b->q[i] = static_cast<uint8_t>(c[0] | (c[1] << 2) | (c[2] << 4) | (c[3] << 6));
    }
    b->d = fp16(d);
  }
}

}  // namespace qtk::format::kernels
