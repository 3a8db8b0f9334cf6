#include "format/ggml_blocks.hpp"
#include "format/ggml_kernels.hpp"

#include <c10/util/Half.h>

#include <bit>
#include <cstddef>
#include <cstring>

// Bit-identity with gguf needs products and sums rounded one by one; -O3 lets GCC 12 vectorise all
// the loops.
#if defined(__clang__)
#pragma clang fp contract(off)
#else
#pragma GCC optimize("O3", "fp-contract=off")
#endif

namespace qtk::format::kernels {
namespace {

float fp16(uint16_t bits) { return c10::detail::fp16_ieee_to_fp32_value(bits); }

template <class Block>
const Block* as(const std::byte* blocks) {
  return reinterpret_cast<const Block*>(blocks);
}

/// The fifth bits of 32 codes: 16 where bit i of h is set, else 0.
void high_bits(const uint8_t (&h)[4], uint8_t (&out)[32]) {
  for (int byte = 0; byte < 4; ++byte)
    for (int bit = 0; bit < 8; ++bit)
      out[8 * byte + bit] = static_cast<uint8_t>((h[byte] & (1 << bit)) != 0 ? 16 : 0);
}

}  // namespace

void dequantize_f32(const std::byte* blocks, int64_t count, float* out) {
  std::memcpy(out, blocks, static_cast<size_t>(count) * sizeof(float));
}

void dequantize_f16(const std::byte* blocks, int64_t count, float* __restrict out) {
  const auto* in = as<uint16_t>(blocks);
  for (int64_t i = 0; i < count; ++i) out[i] = fp16(in[i]);
}

void dequantize_bf16(const std::byte* blocks, int64_t count, float* __restrict out) {
  const auto* in = as<uint16_t>(blocks);
  for (int64_t i = 0; i < count; ++i) out[i] = std::bit_cast<float>(uint32_t{in[i]} << 16);
}

void dequantize_q8_0(const std::byte* blocks, int64_t count, float* __restrict out) {
  const auto* b = as<BlockQ8_0>(blocks);
  for (; count > 0; --count, ++b, out += 32) {
    const float d = fp16(b->d);
    for (int i = 0; i < 32; ++i) out[i] = static_cast<float>(b->q[i]) * d;
  }
}

void dequantize_q4_0(const std::byte* blocks, int64_t count, float* __restrict out) {
  const auto* b = as<BlockQ4_0>(blocks);
  for (; count > 0; --count, ++b, out += 32) {
    const float d = fp16(b->d);
    for (int i = 0; i < 16; ++i) {
      out[i] = static_cast<float>((b->q[i] & 15) - 8) * d;
      out[i + 16] = static_cast<float>((b->q[i] >> 4) - 8) * d;
    }
  }
}

void dequantize_q4_1(const std::byte* blocks, int64_t count, float* __restrict out) {
  const auto* b = as<BlockQ4_1>(blocks);
  for (; count > 0; --count, ++b, out += 32) {
    const float d = fp16(b->d);
    const float m = fp16(b->m);
    for (int i = 0; i < 16; ++i) {
      out[i] = static_cast<float>(b->q[i] & 15) * d + m;
      out[i + 16] = static_cast<float>(b->q[i] >> 4) * d + m;
    }
  }
}

void dequantize_q5_0(const std::byte* blocks, int64_t count, float* __restrict out) {
  const auto* b = as<BlockQ5_0>(blocks);
  for (; count > 0; --count, ++b, out += 32) {
    const float d = fp16(b->d);
    uint8_t high[32];
    high_bits(b->h, high);
    for (int i = 0; i < 16; ++i) {
      out[i] = static_cast<float>(((b->q[i] & 15) | high[i]) - 16) * d;
      out[i + 16] = static_cast<float>(((b->q[i] >> 4) | high[i + 16]) - 16) * d;
    }
  }
}

void dequantize_q5_1(const std::byte* blocks, int64_t count, float* __restrict out) {
  const auto* b = as<BlockQ5_1>(blocks);
  for (; count > 0; --count, ++b, out += 32) {
    const float d = fp16(b->d);
    const float m = fp16(b->m);
    uint8_t high[32];
    high_bits(b->h, high);
    for (int i = 0; i < 16; ++i) {
      out[i] = static_cast<float>((b->q[i] & 15) | high[i]) * d + m;
      out[i + 16] = static_cast<float>((b->q[i] >> 4) | high[i + 16]) * d + m;
    }
  }
}

void dequantize_q4_k(const std::byte* blocks, int64_t count, float* __restrict out) {
  const auto* b = as<BlockQ4_K>(blocks);
  for (; count > 0; --count, ++b, out += 256) {
    const float d = fp16(b->d);
    const float m = fp16(b->m);
    float scale[8], minimum[8];
    for (int g = 0; g < 4; ++g) {
      const int s = b->scales[g], t = b->scales[g + 4], both = b->scales[g + 8];
      scale[g] = d * static_cast<float>(s & 63);
      minimum[g] = m * static_cast<float>(t & 63);
      scale[g + 4] = d * static_cast<float>((both & 15) | ((s >> 6) << 4));
      minimum[g + 4] = m * static_cast<float>((both >> 4) | ((t >> 6) << 4));
    }
    for (ptrdiff_t k = 0; k < 4; ++k)
      for (int i = 0; i < 32; ++i) {
        const int byte = b->q[32 * k + i];
        out[64 * k + i] = static_cast<float>(byte & 15) * scale[2 * k] - minimum[2 * k];
        out[64 * k + 32 + i] =
            static_cast<float>(byte >> 4) * scale[2 * k + 1] - minimum[2 * k + 1];
      }
  }
}

void dequantize_q6_k(const std::byte* blocks, int64_t count, float* __restrict out) {
  const auto* b = as<BlockQ6_K>(blocks);
  for (; count > 0; --count, ++b, out += 256) {
    const float d = fp16(b->d);
    for (ptrdiff_t run = 0; run < 8; ++run) {
      const ptrdiff_t half = run / 4, r = run % 4;
      const uint8_t* low = b->low + 64 * half + 32 * (r % 2);
      const uint8_t* high = b->high + 32 * half;
      for (int part = 0; part < 2; ++part) {
        const float scale = d * static_cast<float>(b->scales[2 * run + part]);
        for (int i = 16 * part; i < 16 * part + 16; ++i) {
          const int q = ((low[i] >> (r / 2 * 4)) & 15) | (((high[i] >> (2 * r)) & 3) << 4);
          out[32 * run + i] = static_cast<float>(q - 32) * scale;
        }
      }
    }
  }
}

}  // namespace qtk::format::kernels
