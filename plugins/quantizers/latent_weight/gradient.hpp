// A value whose derivative in the latent weight is ours to choose. The value itself is returned bit
// for bit: the usual `latent + (value - latent).detach()` rounds twice and leaves the grid.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>

namespace qtk::latent {

/// dL/d value -> dL/d latent, called once per backward pass.
using Backward = std::function<at::Tensor(const at::Tensor& gradient)>;

/// @param latent    a tensor that may require a gradient
/// @param value     same shape, any floating dtype; its own graph is dropped
/// @param backward  what it captures lives until the graph is freed
/// @returns value, with an edge to `latent` where gradients are recorded
at::Tensor with_backward(const at::Tensor& latent, const at::Tensor& value, Backward backward);

/// The identity (Bengio et al., arXiv 1308.3432); keeps nothing. Differentiable any number of
/// times.
at::Tensor straight_through(const at::Tensor& latent, const at::Tensor& value);

/// Whether with_backward() would record an edge.
bool records_gradient(const at::Tensor& latent);

}  // namespace qtk::latent
