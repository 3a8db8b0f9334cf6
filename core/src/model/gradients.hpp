// Whether a computation must be recorded, and so which of two forms of it runs.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/GradMode.h>

#include <initializer_list>

namespace qtk::model {

/// Which form a block takes where gradients flow or on a GPU. Inference on the CPU has kernels of
/// its own.
enum class AttentionForm {
  kFused,               // fused kernels; their gradients cannot be differentiated again
  kTwiceDifferentiable  // plain operations, S x S scores per head; for Hessian-vector products
};

/// True if autograd records now and one of the tensors (undefined ones do not count) takes part.
inline bool needs_gradient(std::initializer_list<at::Tensor> tensors) {
  if (!c10::GradMode::is_enabled()) return false;
  for (const auto& tensor : tensors)
    if (tensor.defined() && tensor.requires_grad()) return true;
  return false;
}

/// True if the fused fp32 loops for the CPU may take the place of the differentiable form.
inline bool runs_fused(std::initializer_list<at::Tensor> tensors) {
  for (const auto& tensor : tensors)
    if (tensor.defined() && (!tensor.device().is_cpu() || tensor.scalar_type() != at::kFloat))
      return false;
  return !needs_gradient(tensors);
}

}  // namespace qtk::model
