// RMSNorm with gradients on the CPU in one pass each way, where plain operations take a dozen.
#pragma once

#include <ATen/core/Tensor.h>

namespace qtk::model {

/// As rms_norm_ref(); fp32 on the CPU, differentiable once.
///
///   r = 1 / sqrt(mean(x^2) + eps);  y = x r w
///   dx = r g w - x r^3 mean(g w x);  dw = sum over rows of g x r
///
/// @param x  [..., D]; @param weight  [D]
at::Tensor rms_norm_training(const at::Tensor& x, const at::Tensor& weight, double eps);

}  // namespace qtk::model
