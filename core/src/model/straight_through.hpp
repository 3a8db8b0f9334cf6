// The straight-through estimator.
#pragma once

#include <ATen/core/Tensor.h>

namespace qtk::model {

/// A tensor with exactly the values of `value` whose gradient goes unchanged to `latent`, as if it
/// had been the latent tensor itself. Differentiable any number of times.
///
/// The usual `latent + (value - latent).detach()` rounds twice, so its values lie off the grid.
/// @param value  no gradient; shape and dtype of `latent`. Shares memory with the result
at::Tensor straight_through(const at::Tensor& latent, const at::Tensor& value);

}  // namespace qtk::model
