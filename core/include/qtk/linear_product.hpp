// The product behind every linear layer: x W^T + b.
//
// On the CPU in fp32 it runs on oneDNN, which uses the full vector width of every x86 processor;
// the other library in LibTorch, MKL, does so on Intel's only (measured on an AMD EPYC with
// AVX-512: 510 against 225 GFLOP/s on two cores).
#pragma once

#include <qtk/runtime/export.hpp>

#include <ATen/core/Tensor.h>

namespace qtk {

/// @param x       [..., in] in the compute dtype
/// @param weight  [out, in], any strides, any floating dtype; widened or rounded to x's where it is
/// used
/// @param bias    [out] or undefined, any floating dtype
/// @returns       [..., out] in x's dtype; differentiable any number of times in all three
QTK_API at::Tensor linear_product(const at::Tensor& x, const at::Tensor& weight,
                                  const at::Tensor& bias = {});

}  // namespace qtk
