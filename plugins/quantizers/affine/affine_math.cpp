#include "affine_math.hpp"

#include "affine_kernels.hpp"

#include <qtk/runtime/stream.hpp>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>

namespace qtk::affine {
namespace {

constexpr double kSmallestScale = 1e-6;  // keeps an all-zero group from dividing by zero

struct Range {
  at::Tensor low_RG1;   // at most 0
  at::Tensor high_RG1;  // at least 0
};

Range range_of(const at::Tensor& w_RGK) {
  return {w_RGK.amin(-1, /*keepdim=*/true).clamp_max(0),
          w_RGK.amax(-1, /*keepdim=*/true).clamp_min(0)};
}

/// Rounds to the stored width, inside its finite range; the result is fp32 again.
at::Tensor as_stored(const at::Tensor& scale, at::ScalarType dtype) {
  constexpr double kLargestHalf = 65504;
  if (dtype == at::kFloat) return scale;
  const auto finite = dtype == at::kHalf ? scale.clamp_max(kLargestHalf) : scale;
  return finite.to(dtype).to(at::kFloat);
}

/// Codes as fp32 values, with the scale and zero they belong to.
struct Grid {
  at::Tensor codes_RGK, scale_RG1, zero_RG1;
  at::Tensor decoded() const { return (codes_RGK - zero_RG1) * scale_RG1; }
};

Grid fit_asymmetric(const at::Tensor& w_RGK, const Range& range, const Settings& settings) {
  const double largest = (1 << settings.bits) - 1;
  const auto scale = as_stored(
      ((range.high_RG1 - range.low_RG1) / largest).clamp_min(kSmallestScale), settings.scale_dtype);
  const auto zero = (range.low_RG1 / scale).round().neg().clamp(0, largest);
  return {(w_RGK * scale.reciprocal()).round().add(zero).clamp(0, largest), scale, zero};
}

Grid fit_symmetric(const at::Tensor& w_RGK, const Range& range, const Settings& settings) {
  const double half = 1 << (settings.bits - 1);
  const auto largest = at::maximum(range.low_RG1.neg(), range.high_RG1);
  const auto scale =
      as_stored((largest / (half - 0.5)).clamp_min(kSmallestScale), settings.scale_dtype);
  return {(w_RGK * scale.reciprocal()).round().clamp(-half, half - 1), scale,
          at::zeros_like(scale)};
}

Grid fit(const at::Tensor& w_RGK, const Range& range, const Settings& settings) {
  return settings.is_symmetric ? fit_symmetric(w_RGK, range, settings)
                               : fit_asymmetric(w_RGK, range, settings);
}

/// Tries ranges from the whole one down to 0.4 of it and keeps, group by group, the one with the
/// least squared error.
Grid fit_least_error(const at::Tensor& w_RGK, const Settings& settings) {
  constexpr int kSteps = 30;
  constexpr double kSmallestShare = 0.4;
  const Range whole = range_of(w_RGK);
  Grid best = fit(w_RGK, whole, settings);
  auto best_error = (best.decoded() - w_RGK).square_().sum(-1, /*keepdim=*/true);
  for (int step = 1; step <= kSteps; ++step) {
    const double share = 1 - (1 - kSmallestShare) * step / kSteps;
    const Grid candidate = fit(w_RGK, {whole.low_RG1 * share, whole.high_RG1 * share}, settings);
    const auto error = (candidate.decoded() - w_RGK).square_().sum(-1, /*keepdim=*/true);
    const auto is_better = error < best_error;
    best = {at::where(is_better, candidate.codes_RGK, best.codes_RGK),
            at::where(is_better, candidate.scale_RG1, best.scale_RG1),
            at::where(is_better, candidate.zero_RG1, best.zero_RG1)};
    best_error = at::minimum(error, best_error);
  }
  return best;
}

__attribute__((target_clones("default", "avx2", "avx512f"))) void decode_group(
    const uint8_t* codes, int64_t count, float scale, float zero, float* out) {
  for (int64_t k = 0; k < count; ++k) out[k] = (static_cast<float>(codes[k]) - zero) * scale;
}

__attribute__((target_clones("default", "avx2", "avx512f"))) void decode_signed_group(
    const int8_t* codes, int64_t count, float scale, float* out) {
  for (int64_t k = 0; k < count; ++k) out[k] = static_cast<float>(codes[k]) * scale;
}

at::Tensor dequantize_cpu(const Codes& codes) {
  const auto code = codes.codes_RGK.contiguous();
  const auto scale = codes.scales_RG1.to(at::kFloat).contiguous();
  auto out = at::empty(code.sizes(), at::kFloat);
  const int64_t group = code.size(-1);
  const float* scales = scale.const_data_ptr<float>();
  float* target = out.data_ptr<float>();
  const at::Tensor zero = codes.zeros_RG1.defined() ? codes.zeros_RG1.contiguous() : at::Tensor();
  at::parallel_for(
      0, scale.numel(), std::max<int64_t>(1, 65536 / group), [&](int64_t begin, int64_t end) {
        for (int64_t g = begin; g < end; ++g) {
          const int64_t at = g * group;
          if (zero.defined())
            decode_group(code.const_data_ptr<uint8_t>() + at, group, scales[g],
                         zero.const_data_ptr<uint8_t>()[g], target + at);
          else
            decode_signed_group(code.const_data_ptr<int8_t>() + at, group, scales[g], target + at);
        }
      });
  return out;
}

#ifdef QTK_HAS_CUDA
at::Tensor dequantize_cuda(const Codes& codes) {
  const auto code = codes.codes_RGK.contiguous();
  const auto scale = codes.scales_RG1.contiguous();
  const auto zero = codes.zeros_RG1.defined() ? codes.zeros_RG1.contiguous() : at::Tensor();
  auto out = at::empty(code.sizes(), code.options().dtype(at::kFloat));
  launch_dequantize({.codes = code.const_data_ptr(),
                     .scales = scale.const_data_ptr(),
                     .zeros = zero.defined() ? zero.const_data_ptr<uint8_t>() : nullptr,
                     .out = out.data_ptr<float>(),
                     .groups = scale.numel(),
                     .group_size = code.size(-1),
                     .scale_width = scale.scalar_type() == at::kHalf       ? ScaleWidth::kHalf
                                    : scale.scalar_type() == at::kBFloat16 ? ScaleWidth::kBfloat16
                                                                           : ScaleWidth::kFloat},
                    current_stream(code.device()));
  return out;
}
#else
/// Without nvcc the kernel is missing; LibTorch's operators do the same in three passes.
at::Tensor dequantize_cuda(const Codes& codes) {
  const auto code = codes.codes_RGK.to(at::kFloat);
  return (codes.zeros_RG1.defined() ? code - codes.zeros_RG1 : code) *
         codes.scales_RG1.to(at::kFloat);
}
#endif

}  // namespace

Codes quantize(const at::Tensor& w_RGK, const Settings& settings) {
  const Grid grid = settings.scale_rule == ScaleRule::kMse ? fit_least_error(w_RGK, settings)
                                                           : fit(w_RGK, range_of(w_RGK), settings);
  if (settings.is_symmetric)
    return {grid.codes_RGK.to(at::kChar), grid.scale_RG1.to(settings.scale_dtype), at::Tensor()};
  return {grid.codes_RGK.to(at::kByte), grid.scale_RG1.to(settings.scale_dtype),
          grid.zero_RG1.to(at::kByte)};
}

at::Tensor dequantize(const Codes& codes) {
  return codes.codes_RGK.is_cuda() ? dequantize_cuda(codes) : dequantize_cpu(codes);
}

GroupCodes quantize_group_ref(std::span<const float> weights, const Settings& settings,
                              std::span<int> codes) {
  float low = 0, high = 0;
  for (const float w : weights) {
    low = std::min(low, w);
    high = std::max(high, w);
  }
  const int smallest = settings.is_symmetric ? -(1 << (settings.bits - 1)) : 0;
  const int largest = smallest + (1 << settings.bits) - 1;
  GroupCodes group;
  if (settings.is_symmetric) {
    group.scale =
        std::max(std::max(-low, high) / (static_cast<float>(largest - smallest) / 2), 1e-6F);
  } else {
    group.scale = std::max((high - low) / static_cast<float>(largest), 1e-6F);
    group.zero =
        std::clamp(-static_cast<int>(std::nearbyint(low / group.scale)), smallest, largest);
  }
  const float reciprocal = 1 / group.scale;
  for (size_t k = 0; k < weights.size(); ++k)
    codes[k] = std::clamp(static_cast<int>(std::nearbyint(weights[k] * reciprocal)) + group.zero,
                          smallest, largest);
  return group;
}

}  // namespace qtk::affine
