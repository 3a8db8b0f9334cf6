// Hestia's forms on the CPU: one pass for the scales, one for the values.
#pragma once

#include "soft_codebook.hpp"

namespace qtk::hestia {

/// Sums run in an order that does not depend on the number of threads. [G, 1], dtype of w.
at::Tensor scale_cpu(const at::Tensor& w_GN, Semantics semantics);

/// As effective_weight_ref(). @param w_GN  fp32 or fp64, contiguous
at::Tensor effective_weight_cpu(const at::Tensor& w_GN, const Form& form);

/// As latent_gradient_ref(). @param gradient_GN  any floating dtype
at::Tensor latent_gradient_cpu(const at::Tensor& gradient_GN, const at::Tensor& w_GN,
                               const Form& form);

/// Codes at these scales; uint8 [G, N].
at::Tensor nearest_code_cpu(const at::Tensor& w_GN, const at::Tensor& scale_G1, const Form& form);

}  // namespace qtk::hestia
