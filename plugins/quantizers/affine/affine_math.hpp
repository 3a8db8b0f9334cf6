// Group-wise affine integer codes: weight = (code - zero) * scale.
//
// Formulas of torchao's intN weight-only quantizer (`quant_primitives`, revision f538027ab), in
// fp32 whatever the weight's dtype: choosing scale and zero in bf16 costs up to twice the error at
// 6 bits.
//
//   asymmetric   lo = min(w, 0), hi = max(w, 0), scale = max((hi - lo) / (2^b - 1), 1e-6)
//                zero = clamp(-round(lo / scale), 0, 2^b - 1)
//                code = clamp(round(w * (1 / scale)) + zero, 0, 2^b - 1)
//   symmetric    a = max(-lo, hi), scale = max(a / ((2^b - 1) / 2), 1e-6), zero = 0
//                code = clamp(round(w * (1 / scale)), -2^(b-1), 2^(b-1) - 1)
//
// round() is half to even, and the reciprocal is formed first, as there.
//
// Shape suffixes: R rows of groups (rows of the weight that share no scale), G groups of a row, K
// weights of a group.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>

namespace qtk::affine {

enum class ScaleRule {
  kMinMax,  // the range of the group is covered
  kMse,     // the range is shrunk to where the squared error of the group is least
};

struct Settings {
  int bits = 4;
  bool is_symmetric = false;
  at::ScalarType scale_dtype = at::kFloat;  // stored width; codes are chosen for the rounded scale
  ScaleRule scale_rule = ScaleRule::kMinMax;
};

struct Codes {
  at::Tensor codes_RGK;   // uint8, or int8 if symmetric
  at::Tensor scales_RG1;  // scale_dtype
  at::Tensor zeros_RG1;   // uint8; undefined if symmetric
};

/// @param w_RGK fp32, any device
Codes quantize(const at::Tensor& w_RGK, const Settings& settings);

/// @returns fp32, shape of codes.codes_RGK. One pass over the codes.
at::Tensor dequantize(const Codes& codes);

/// One group in plain loops, min-max rule and fp32 scale: what quantize() is compared with.
struct GroupCodes {
  float scale = 0;
  int zero = 0;
};
GroupCodes quantize_group_ref(std::span<const float> weights, const Settings& settings,
                              std::span<int> codes);

}  // namespace qtk::affine
