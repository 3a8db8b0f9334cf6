// Hestia's quantizer as formulas: a codebook made soft by a temperature, mixed with the latent
// weight by a pressure (arXiv 2601.20745).
//
//   scale     gamma = mean|w| + 1e-5 of the group, treated as a constant
//   soft      z = w / gamma,  p_k = softmax_k(-(z - c_k)^2 / T),  mu = sum_k p_k c_k,
//             H = gamma mu,   dH/dw = f'(z) = (2 / T) Var_p(c)
//   hard      T <= 0: H = gamma c of the nearest code, ties to the lower one, dH/dw = 1
//   pressure  W = w + p (H - w)
//
// compat v0 is the authors' first code: gamma = max(mean|w|, 1e-5) with its derivative, T + 1e-6,
// and round half to even where it is hard.
//
// Shape suffixes: G groups, N weights of a group, K codes.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace qtk::hestia {

constexpr double kScaleEpsilon = 1e-5;  // of the scale, in both semantics

enum class Semantics {
  kReleased,  // of the released code
  kV0,        // of the first code; ternary only
};

/// Everything but the weights.
struct Form {
  std::vector<double> levels;  // ascending, at least two
  double temperature = 0;      // in squared distances of the normalised weight; <= 0: hard
  double pressure = 1;         // 0 (the latent weight) to 1
  Semantics semantics = Semantics::kReleased;
  at::ScalarType scale_dtype = at::kFloat;  // to which the hard form rounds scales, fp64 excepted

  bool is_hard() const { return temperature <= 0; }
  bool is_ternary() const { return levels == std::vector<double>{-1, 0, 1}; }
  /// 1 / T', finite.
  double inverse_temperature() const;
};

// The functions below are plain operators of LibTorch, for tensors on any device in fp32 or fp64:
// what the loops and kernels are compared with.

/// @returns [G, 1]
at::Tensor scale_ref(const at::Tensor& w_GN, Semantics semantics);

/// Index of the code of z, uint8, same shape.
at::Tensor nearest_code_ref(const at::Tensor& z, const Form& form);

/// mu(z) and f'(z) at form.temperature > 0, shape of z.
struct SoftValue {
  at::Tensor mean, slope;
};
SoftValue soft_value_ref(const at::Tensor& z, const Form& form);

/// W, dtype of w.
at::Tensor effective_weight_ref(const at::Tensor& w_GN, const Form& form);

/// dL/dw from dL/dW, both [G, N], in w's dtype.
at::Tensor latent_gradient_ref(const at::Tensor& gradient_GN, const at::Tensor& w_GN,
                               const Form& form);

}  // namespace qtk::hestia
