// The loops behind the table of ggml types. Inner loops have fixed lengths and no branches, so that
// they vectorise.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

namespace qtk::format::kernels {

// Each decodes or encodes `count` blocks; see GgmlType.
void dequantize_f32(const std::byte* blocks, int64_t count, float* out);
void dequantize_f16(const std::byte* blocks, int64_t count, float* out);
void dequantize_bf16(const std::byte* blocks, int64_t count, float* out);
void dequantize_q8_0(const std::byte* blocks, int64_t count, float* out);
void dequantize_q4_0(const std::byte* blocks, int64_t count, float* out);
void dequantize_q4_1(const std::byte* blocks, int64_t count, float* out);
void dequantize_q5_0(const std::byte* blocks, int64_t count, float* out);
void dequantize_q5_1(const std::byte* blocks, int64_t count, float* out);
void dequantize_q4_k(const std::byte* blocks, int64_t count, float* out);
void dequantize_q6_k(const std::byte* blocks, int64_t count, float* out);
void dequantize_tq1_0(const std::byte* blocks, int64_t count, float* out);
void dequantize_tq2_0(const std::byte* blocks, int64_t count, float* out);
void dequantize_q2_0(const std::byte* blocks, int64_t count, float* out);

void quantize_f32(const float* weights, int64_t count, std::byte* blocks);
void quantize_f16(const float* weights, int64_t count, std::byte* blocks);
void quantize_bf16(const float* weights, int64_t count, std::byte* blocks);
void quantize_q8_0(const float* weights, int64_t count, std::byte* blocks);
void quantize_q4_0(const float* weights, int64_t count, std::byte* blocks);
void quantize_q4_1(const float* weights, int64_t count, std::byte* blocks);
void quantize_q5_0(const float* weights, int64_t count, std::byte* blocks);
void quantize_q5_1(const float* weights, int64_t count, std::byte* blocks);
void quantize_tq1_0(const float* weights, int64_t count, std::byte* blocks);
void quantize_tq2_0(const float* weights, int64_t count, std::byte* blocks);
/// Unlike ggml's reference, a block of exactly -1, 0, 1 and 2 times some number keeps its values.
void quantize_q2_0(const float* weights, int64_t count, std::byte* blocks);

/// False if any of the n numbers is NaN or of larger magnitude than `limit`.
bool all_within(const float* x, int64_t n, float limit);

/// The step d of n finite numbers that are all exactly one of -d, 0, d; with `has_double` 2d is a
/// fourth level, and d is negative where the double is. 0 if all are zero, nothing if there is no
/// such step.
std::optional<float> level_step(const float* x, int64_t n, bool has_double);

}  // namespace qtk::format::kernels
