// Rows of logits become the gradient of their cross-entropy, in place, for fp32 on the CPU.
#pragma once

#include <ATen/core/Tensor.h>

namespace qtk::train {

/// logits[n, :] = scale (softmax(logits[n, :]) - 1[targets[n]]), or zeros where the target is
/// text::kUnscoredTarget. Threads take whole rows, so the result does not depend on their number.
/// @param logits   [N, V] fp32, contiguous
/// @param targets  [N] int64
/// @param nll      [N] fp64, filled with -log p(target), 0 where unscored
void softmax_gradient_rows(at::Tensor& logits, const at::Tensor& targets, double scale,
                           const at::Tensor& nll);

/// Whether the form below can take these logits: fp32 or bf16 on CUDA, in a build that has the
/// kernel, and a vocabulary that is a multiple of 8.
bool has_softmax_kernel(const at::Tensor& logits);

/// The same in one kernel. @param nll  [N] fp32
void softmax_gradient_cuda(at::Tensor& logits, const at::Tensor& targets, double scale,
                           const at::Tensor& nll);

}  // namespace qtk::train
