// Where Hestia's forms are computed: loops on the CPU, fused kernels on CUDA, LibTorch's operators
// where neither covers the case.
#pragma once

#include "soft_codebook.hpp"

#include <latent_weight/grouping.hpp>

namespace qtk::hestia {

/// @returns one scale per group, shape of grouping.shape, dtype of the latent weight
at::Tensor group_scale(const at::Tensor& latent_OI, const latent::Grouping& grouping,
                       Semantics semantics);

/// Codes at these scales, uint8 [out, in].
at::Tensor nearest_code(const at::Tensor& latent_OI, const at::Tensor& scale,
                        const latent::Grouping& grouping, const Form& form);

/// @param wanted  dtype of the result on CUDA; elsewhere it is the latent weight's
/// @returns       [out, in]. No host synchronisation.
at::Tensor effective_weight(const at::Tensor& latent_OI, const latent::Grouping& grouping,
                            const Form& form, at::ScalarType wanted);

/// dL/d latent from dL/d effective weight; in the latent weight's dtype, or in the gradient's own
/// where it is the identity. The scales and slopes are computed anew from the latent weight, so
/// nothing needs to be saved.
at::Tensor latent_gradient(const at::Tensor& gradient_OI, const at::Tensor& latent_OI,
                           const latent::Grouping& grouping, const Form& form);

}  // namespace qtk::hestia
