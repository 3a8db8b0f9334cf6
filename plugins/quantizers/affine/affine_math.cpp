#include "affine_math.hpp"

#include "affine_fit.hpp"
#include "affine_kernels.hpp"

#include <qtk/runtime/stream.hpp>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>

namespace qtk::affine {
namespace {

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
  const Grid grid = fit_grid(w_RGK, settings);
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
