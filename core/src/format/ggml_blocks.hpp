// How ggml stores weights: rows of blocks, each with its own scales (github.com/ggml-org/ggml,
// ggml-common.h and ggml-quants.c). Arithmetic is fp32 with every product and sum rounded on its
// own, as in the Python package `gguf`; results are bit-identical to it.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace qtk::format {

// Diagrams: "d d" is an fp16 number, "lo a hi b" a byte with code a in its low and b in its high
// nibble. bpw is bits per weight, scales included.

/// 8.5 bpw
///   | d d | q0 | q1 | ... | q31 |     int8
///   w[i] = q[i] * d
struct BlockQ8_0 {
  uint16_t d;
  int8_t q[32];
};
static_assert(sizeof(BlockQ8_0) == 34);

/// 4.5 bpw
///   | d d | lo q0 hi q16 | lo q1 hi q17 | ... | lo q15 hi q31 |
///   w[i] = (q[i] - 8) * d
struct BlockQ4_0 {
  uint16_t d;
  uint8_t q[16];
};
static_assert(sizeof(BlockQ4_0) == 18);

/// 5 bpw
///   | d d | m m | lo q0 hi q16 | ... | lo q15 hi q31 |
///   w[i] = q[i] * d + m
struct BlockQ4_1 {
  uint16_t d, m;
  uint8_t q[16];
};
static_assert(sizeof(BlockQ4_1) == 20);

/// 5.5 bpw
///   | d d | h h h h | lo q0 hi q16 | ... | lo q15 hi q31 |     bit i of h is bit 4 of q[i]
///   w[i] = (q[i] - 16) * d
struct BlockQ5_0 {
  uint16_t d;
  uint8_t h[4];
  uint8_t q[16];
};
static_assert(sizeof(BlockQ5_0) == 22);

/// 6 bpw
///   | d d | m m | h h h h | lo q0 hi q16 | ... | lo q15 hi q31 |
///   w[i] = q[i] * d + m
struct BlockQ5_1 {
  uint16_t d, m;
  uint8_t h[4];
  uint8_t q[16];
};
static_assert(sizeof(BlockQ5_1) == 24);

/// 4.5 bpw, 8 groups g of 32 weights with a 6-bit scale s and a 6-bit minimum t each
///   | d d | m m | 12 bytes of s and t | 128 bytes of q |
///
///   byte 0-3     s of groups 0-3 in bits 0-5     bits 4-5 of s of groups 4-7 in bits 6-7
///   byte 4-7     t of groups 0-3 in bits 0-5     bits 4-5 of t of groups 4-7 in bits 6-7
///   byte 8-11    bits 0-3 of s (low nibble) and of t (high nibble) of groups 4-7
///   q byte 32k + i    low nibble: weight i of group 2k, high nibble: weight i of group 2k + 1
///
///   w[i] = q[i] * (d * s) - (m * t)
struct BlockQ4_K {
  uint16_t d, m;
  uint8_t scales[12];
  uint8_t q[128];
};
static_assert(sizeof(BlockQ4_K) == 144);

/// 6.5625 bpw, 16 groups of 16 weights with an int8 scale s each
///   | 128 bytes low | 64 bytes high | 16 scales | d d |
///
///   The 256 weights are 8 runs of 32; run r = 4 * half + k. Weight i of run r has
///   bits 0-3 in byte 64 * half + 32 * (k % 2) + i of low, low nibble for k < 2, else high nibble
///   bits 4-5 in bits 2k, 2k + 1 of byte 32 * half + i of high
///
///   w[i] = (q[i] - 32) * (d * s)
struct BlockQ6_K {
  uint8_t low[128];
  uint8_t high[64];
  int8_t scales[16];
  uint16_t d;
};
static_assert(sizeof(BlockQ6_K) == 210);

/// 1.6875 bpw, five codes 0, 1, 2 a byte in base 3
///   | 48 bytes q | 4 bytes h | d d |
///
///   q byte i < 32     weights i, 32 + i, ..., 128 + i
///   q byte 32 + i     weights 160 + i, 176 + i, ..., 224 + i    (i < 16)
///   h byte i          weights 240 + i, 244 + i, 248 + i, 252 + i, and a digit 0
///
///   A byte is ceil(256 * n / 243) with n = 81 c0 + 27 c1 + 9 c2 + 3 c3 + c4.
///   w[i] = (c[i] - 1) * d
struct BlockTQ1_0 {
  uint8_t q[48];
  uint8_t h[4];
  uint16_t d;
};
static_assert(sizeof(BlockTQ1_0) == 54);

/// 2.0625 bpw
///   | 64 bytes q | d d |     bits 2k, 2k + 1 of byte 32 * half + i: weight 128 * half + 32 k + i
///   w[i] = (q[i] - 1) * d
struct BlockTQ2_0 {
  uint8_t q[64];
  uint16_t d;
};
static_assert(sizeof(BlockTQ2_0) == 66);

/// 2.25 bpw, id 42 in llama.cpp since pull request 24448. Files of a fork have blocks of 128 under
/// the same id; nothing in them tells the two apart but their size.
///   | d d | q3 q2 q1 q0 | q7 q6 q5 q4 | ... |     two bits each, the first weight lowest
///   w[i] = (q[i] - 1) * d
struct BlockQ2_0 {
  uint16_t d;
  uint8_t q[16];
};
static_assert(sizeof(BlockQ2_0) == 18);

/// One row of the table of types. A type that qtk only knows by size has neither function.
struct GgmlType {
  uint32_t id = 0;  // in GGUF files
  std::string_view name;
  int64_t block_size = 1;  // weights
  int64_t block_bytes = 1;
  /// Decodes `count` blocks at an address that is a multiple of 2 (4 for F32).
  void (*dequantize)(const std::byte* blocks, int64_t count, float* out) = nullptr;
  /// Encodes finite weights as ggml's reference does (quantize_row_*_ref). The sign of a zero
  /// minimum is not specified.
  void (*quantize)(const float* weights, int64_t count, std::byte* blocks) = nullptr;
  /// Largest magnitude of a weight that quantize_blocks() accepts: fp16 scales end there.
  float limit = 65504;

  double bpw() const {
    return 8.0 * static_cast<double>(block_bytes) / static_cast<double>(block_size);
  }
  /// Bytes of a row. @throws Error if blocks do not divide it
  int64_t row_bytes(int64_t columns) const;
};

/// All types a GGUF file may name, by id.
std::span<const GgmlType> ggml_types();
/// nullptr for an unknown id.
const GgmlType* find_ggml_type(uint32_t id);
/// @throws ConfigError with the names that exist
const GgmlType& ggml_type(std::string_view name);
/// "F32, F16, ...": the types with a function to read (or to write).
std::string readable_ggml_types();
std::string writable_ggml_types();

/// Threaded over blocks. @param shape in row-major order, last size a multiple of the block.
/// @returns fp32 on the CPU
/// @throws DataError naming `where` if the type cannot be read, Error if bytes and shape differ
at::Tensor dequantize_blocks(const GgmlType& type, std::span<const std::byte> blocks,
                             at::IntArrayRef shape, const std::string& where);

/// Threaded over blocks. @param weights any floating dtype, device and layout
/// @returns uint8, last size row_bytes()
/// @throws DataError naming `where` for NaN, infinity and weights beyond the type's limit,
/// ConfigError if the type cannot be written or does not fit
at::Tensor quantize_blocks(const GgmlType& type, const at::Tensor& weights,
                           const std::string& where);

}  // namespace qtk::format
