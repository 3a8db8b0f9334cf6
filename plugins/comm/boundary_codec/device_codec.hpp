// Casts and fixed-point codes of CUDA tensors, on their current stream and without host
// synchronisation. The messages are those of fixpoint.hpp, bit for bit.
#pragma once

#include <ATen/core/Tensor.h>
#include <boundary_codec/fixpoint.hpp>
#include <boundary_codec/number.hpp>

namespace qtk::boundary {

/// Whether tensors on this device are coded by kernels; on the CPU they are not.
/// @throws Error if there are none: no CUDA device, or a build without CUDA
bool uses_kernels(const at::Tensor& tensor, const char* method);

// For kernels of other methods.

/// @throws Error unless f32, bf16 or f16
Number number_of(at::ScalarType dtype);
/// Contiguous, at a multiple of 16 bytes; may alias.
at::Tensor aligned(const at::Tensor& tensor);
/// @throws Error unless the message begins at a multiple of 16 bytes on the device of `other`
void require_aligned(const at::Tensor& wire, const at::Tensor& other);

/// Writes x in another type into `wire`; finite values stay finite.
void write_cast(const at::Tensor& x, at::ScalarType dtype, at::Tensor& wire);
/// Inverse of write_cast.
at::Tensor read_cast(const at::Tensor& wire, at::ScalarType dtype, const TensorSpec& spec);

// As the functions of fixpoint.hpp; x may be f32, bf16 or f16.

at::Tensor device_scales(const at::Tensor& x_BSC, const Fixpoint& form);
at::Tensor device_codes(const at::Tensor& x_BSC, const at::Tensor& scales, int bits);
at::Tensor device_values(const at::Tensor& codes_BSC, const at::Tensor& scales, int bits);
void device_write_fixpoint(const at::Tensor& x_BSC, const Fixpoint& form, at::Tensor& wire);
at::Tensor device_read_fixpoint(const at::Tensor& wire, const TensorSpec& spec,
                                const Fixpoint& form);

}  // namespace qtk::boundary
