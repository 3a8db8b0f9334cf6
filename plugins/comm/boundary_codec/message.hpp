// What all messages across a stage boundary have in common: checks, the uncompressed form, and
// casts that stay finite.
#pragma once

#include <qtk/api/compressor.hpp>

#include <ATen/core/Tensor.h>

namespace qtk::boundary {

/// Micro-batch, sequence and channels of a boundary tensor.
struct Extent {
  int64_t batch, sequence, channels;

  int64_t tokens() const { return batch * sequence; }
  int64_t elements() const { return tokens() * channels; }
};

/// @throws Error unless the shape has three dimensions, none of them 0, and the dtype is f32, bf16
/// or f16
Extent extent_of(const TensorSpec& spec);

/// Bytes of the uncompressed tensor: what a warm-up message has.
int64_t raw_bytes(const TensorSpec& spec);
void write_raw(const at::Tensor& x, at::Tensor& wire);
at::Tensor read_raw(const at::Tensor& wire, const TensorSpec& spec);

/// @throws Error unless `wire` is a contiguous uint8 tensor of `bytes` bytes
void require_wire(const at::Tensor& wire, int64_t bytes);
/// @throws Error if `x` differs from the announced spec
void require_spec(const at::Tensor& x, const TensorSpec& spec);
/// @throws Error if the tensor is not in host memory
void require_host(const at::Tensor& tensor, const char* method);

/// Whether all magnitudes are at most `limit`; false if one is NaN. One pass, with a
/// synchronisation.
bool is_within(const at::Tensor& values, double limit);
/// fp32 values of x, contiguous, without gradient; may alias x.
at::Tensor to_f32(const at::Tensor& x);
/// Cast in which finite values stay finite: those beyond the range of `dtype` become its largest.
/// NaN and infinity stay what they are, so that a diverged run is seen.
at::Tensor saturated(const at::Tensor& values, at::ScalarType dtype);

}  // namespace qtk::boundary
