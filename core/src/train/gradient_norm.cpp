#include "train/gradient_norm.hpp"

#include <ATen/ATen.h>

namespace qtk::train {

at::Tensor gradient_norm(at::TensorList gradients) {
  if (gradients.empty()) return at::zeros({}, at::kFloat);
  const auto norms = at::_foreach_norm(gradients, 2);
  return at::linalg_vector_norm(at::stack(norms).to(at::kFloat), 2);
}

void clip_to_norm(at::TensorList gradients, const at::Tensor& norm, double limit) {
  if (gradients.empty()) return;
  const auto factor = (limit / (norm + 1e-6)).clamp_max_(1.0);
  // Where the number is at hand, a pass over all gradients can be spared.
  if (factor.device().is_cpu() && factor.item<double>() >= 1) return;
  at::_foreach_mul_(gradients, factor);
}

}  // namespace qtk::train
