// Rotation and gate of a block on a GPU, each one kernel forward and one backward. Differentiable
// once.
#pragma once

#include "model/rotary.hpp"

#include <ATen/core/Tensor.h>

namespace qtk::model {

/// Whether the two below can take tensors like this one: fp32 or bf16 on CUDA, in a build that has
/// the kernels.
bool has_block_kernels(const at::Tensor& x);

/// As rotate_ref().
at::Tensor rotate_cuda(const at::Tensor& x, const RotaryTable& table);
/// As silu_times_ref(); that one runs where the size is no multiple of kVectorElements.
at::Tensor silu_times_cuda(const at::Tensor& gate, const at::Tensor& up);

}  // namespace qtk::model
