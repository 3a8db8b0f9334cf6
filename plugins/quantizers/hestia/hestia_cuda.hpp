// Hestia's forms on CUDA: allocation, choice of the kernel and the stream.
#pragma once

#include "soft_codebook.hpp"

namespace qtk::hestia {

/// Whether the kernels cover a case: fp32 latent weights, the released semantics, up to 16 codes.
/// False in a build without CUDA.
bool has_kernel(const at::Tensor& w_GN, Semantics semantics);
bool has_kernel(const at::Tensor& w_GN, const Form& form);

/// [G, 1] fp32, the same bits as the scales that the other two use.
at::Tensor scale_cuda(const at::Tensor& w_GN);

/// @param wanted  bf16 or fp32; other dtypes are made from fp32
at::Tensor effective_weight_cuda(const at::Tensor& w_GN, const Form& form, at::ScalarType wanted);

/// @param gradient_GN  bf16 or fp32; other dtypes are converted first. @returns fp32
at::Tensor latent_gradient_cuda(const at::Tensor& gradient_GN, const at::Tensor& w_GN,
                                const Form& form);

}  // namespace qtk::hestia
