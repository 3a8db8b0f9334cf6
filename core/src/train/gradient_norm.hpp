// The norm of all gradients together, and clipping by it.
#pragma once

#include <ATen/core/Tensor.h>

namespace qtk::train {

/// The Euclidean norm of all gradients as one vector, [] fp32 on their device. Without host
/// synchronisation on CUDA.
at::Tensor gradient_norm(at::TensorList gradients);

/// Scales the gradients in place so that their norm is at most `limit`; the factor stays on the
/// device. A norm that is not finite leaves gradients that are not finite.
void clip_to_norm(at::TensorList gradients, const at::Tensor& norm, double limit);

}  // namespace qtk::train
