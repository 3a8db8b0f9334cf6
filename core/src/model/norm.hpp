// Norms over the last dimension.
#pragma once

#include "model/family.hpp"
#include "model/gradients.hpp"

#include <ATen/core/Tensor.h>

namespace qtk::model {

/// y = x / sqrt(mean(x^2) + eps) * weight, or LayerNorm.
struct Norm {
  NormKind kind = NormKind::kRms;
  at::Tensor weight;  // [columns], any floating dtype
  at::Tensor bias;    // as the weight, kLayer only
  double eps = 1e-5;

  /// [..., columns] in the compute dtype -> the same shape.
  at::Tensor forward(const at::Tensor& x, AttentionForm form = AttentionForm::kFused) const;
};

/// The differentiable form: fp32 inside, or x's dtype if that is wider.
at::Tensor rms_norm_ref(const at::Tensor& x, const at::Tensor& weight, double eps);

}  // namespace qtk::model
