// Symmetric fixed-point codes of a boundary tensor with one scale per channel, per channel of a
// sample, per token or per tensor (AQ-SGD, arXiv 2206.01299; "fixpoint" of TAH-Quant).
//
//   a    = max |x|  or  2 sqrt(mean x^2)           over the elements that share a scale
//   s    = a in scale_dtype, saturated
//   q    = clip(round_half_even(x / s * H), -H, H - 1) + H,     H = 2^(bits-1)
//   xhat = (q - H) / H * s
//
// Codes are chosen for the stored scale, so small tensors do not shrink. NaN or infinity in x makes
// all elements that share its scale NaN or infinite. Tensors on a CUDA device are coded there
// (device_codec.hpp), to the same bits.
#pragma once

#include <boundary_codec/message.hpp>

#include <string>

namespace qtk::boundary {

enum class ScalePer { kChannel, kSampleChannel, kToken, kTensor };

struct Fixpoint {
  int bits = 8;
  bool is_l2 = false;  // scale from the mean square; values beyond it are clipped
  ScalePer scale_per = ScalePer::kChannel;
  at::ScalarType scale_dtype = at::kFloat;  // f32, bf16 or f16
};

/// Scales of x_BSC [f32], in scale_dtype: [1, 1, C], [B, 1, C], [B, S, 1] or [1, 1, 1].
at::Tensor fixpoint_scales(const at::Tensor& x_BSC, const Fixpoint& form);
/// Codes [B, S, C] uint8 of x_BSC [f32, contiguous]. @param scales  as fixpoint_scales() gave them
at::Tensor fixpoint_codes(const at::Tensor& x_BSC, const at::Tensor& scales, int bits);
/// [B, S, C] f32.
at::Tensor fixpoint_values(const at::Tensor& codes_BSC, const at::Tensor& scales, int bits);

/// The message: codes in row-major order (bit_stream.hpp), then the scales.
int64_t fixpoint_bytes(const Extent& extent, const Fixpoint& form);
/// @param x_BSC  f32, bf16 or f16, on the device of `wire`
void write_fixpoint(const at::Tensor& x_BSC, const Fixpoint& form, at::Tensor& wire);
/// spec, on the device of `wire`; finite values stay finite.
at::Tensor read_fixpoint(const at::Tensor& wire, const TensorSpec& spec, const Fixpoint& form);

}  // namespace qtk::boundary
