// Choosing scale and zero point of every group. Formulas in affine_math.hpp.
#pragma once

#include "affine_math.hpp"

namespace qtk::affine {

/// Codes as fp32 values, with the scale (rounded to its stored width) and zero they belong to.
struct Grid {
  at::Tensor codes_RGK, scale_RG1, zero_RG1;
};

/// By settings.scale_rule. @param w_RGK fp32
Grid fit_grid(const at::Tensor& w_RGK, const Settings& settings);

/// ScaleRule::kMse in tensor operations: what the CPU's one-pass search is compared with, and what
/// CUDA runs.
Grid fit_least_error_ref(const at::Tensor& w_RGK, const Settings& settings);

}  // namespace qtk::affine
