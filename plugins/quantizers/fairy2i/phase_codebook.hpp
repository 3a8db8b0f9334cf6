// Fairy2i's quantizer: a real matrix as two complex ones with entries +-1, +-i (arXiv 2512.02901).
//
//   W = [[A11, A12], [A21, A22]] in halves is y = U x + V conj(x) with
//   U = (A11 + A22) / 2 + i (A21 - A12) / 2,   V = (A11 - A22) / 2 + i (A12 + A21) / 2
//
// U and V are each quantized by stages; a stage takes what the ones before have left over:
//
//   hard  the nearest of {1, i, -1, -i} by the phase, times s_re or s_im
//   soft  delta_k the phase's distance to {0, pi/2, pi, -pi/2}, p = softmax(-delta^2 / T),
//         (p_0 - p_2) s_re + i (p_1 - p_3) s_im
//   s_re = max(1e-6, mean |re| over entries nearest to +-1), s_im likewise; one pair per matrix and
//   stage
//
// Shape suffixes: P = out / 2, Q = in / 2.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace qtk::fairy2i {

struct ComplexMatrix {
  at::Tensor re, im;  // [P, Q]
};
struct WidelyLinear {
  ComplexMatrix u, v;
};

/// @param w_OI  even sizes
WidelyLinear split(const at::Tensor& w_OI);
at::Tensor join(const WidelyLinear& parts);

/// 0: 1, 1: i, 2: -1, 3: -i; uint8. A zero counts as 1.
at::Tensor sectors(const ComplexMatrix& m);

/// (s_re, s_im) as a tensor [2].
at::Tensor stage_scales(const ComplexMatrix& m, const at::Tensor& sectors);

/// What the codes stand for. @param scales  [2]
ComplexMatrix hard_value(const at::Tensor& sectors, const at::Tensor& scales);

struct SoftForm {
  int stages = 2;
  double temperature = 0.3;  // above 0; in squared radians
  bool has_scale_gradient = false;
};
/// H(W), differentiable by LibTorch's own means.
at::Tensor soft_weight(const at::Tensor& w_OI, const SoftForm& form);

}  // namespace qtk::fairy2i
