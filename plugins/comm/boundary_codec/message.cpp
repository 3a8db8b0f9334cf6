#include "boundary_codec/message.hpp"

#include <qtk/runtime/check.hpp>

#include <ATen/ATen.h>
#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include <limits>

namespace qtk::boundary {
namespace {

double largest(at::ScalarType dtype) {
  switch (dtype) {
    case at::kHalf:
      return std::numeric_limits<c10::Half>::max();
    case at::kBFloat16:
      return std::numeric_limits<c10::BFloat16>::max();
    case at::kDouble:
      return std::numeric_limits<double>::max();
    default:
      return std::numeric_limits<float>::max();
  }
}

}  // namespace

bool is_within(const at::Tensor& values, double limit) {
  const auto [least, most] = at::aminmax(values);
  return least.item<double>() >= -limit && most.item<double>() <= limit;
}

Extent extent_of(const TensorSpec& spec) {
  QTK_CHECK(spec.shape.size() == 3, "a boundary tensor is [micro-batch, sequence, channels], got ",
            spec.shape.size(), " dimensions");
  QTK_CHECK(spec.dtype == at::kFloat || spec.dtype == at::kBFloat16 || spec.dtype == at::kHalf,
            "a boundary tensor is f32, bf16 or f16, got ", spec.dtype);
  const Extent extent{spec.shape[0], spec.shape[1], spec.shape[2]};
  QTK_CHECK(extent.batch > 0 && extent.sequence > 0 && extent.channels > 0,
            "a boundary tensor has elements, got ", at::IntArrayRef(spec.shape));
  return extent;
}

int64_t raw_bytes(const TensorSpec& spec) {
  return extent_of(spec).elements() * static_cast<int64_t>(c10::elementSize(spec.dtype));
}

void write_raw(const at::Tensor& x, at::Tensor& wire) {
  wire.copy_(x.detach().contiguous().view(-1).view(at::kByte));
}

at::Tensor read_raw(const at::Tensor& wire, const TensorSpec& spec) {
  at::Tensor y = at::empty(spec.shape, wire.options().dtype(spec.dtype));
  y.view(-1).view(at::kByte).copy_(wire);
  return y;
}

void require_wire(const at::Tensor& wire, int64_t bytes) {
  QTK_CHECK(wire.scalar_type() == at::kByte && wire.dim() == 1 && wire.is_contiguous() &&
                wire.numel() == bytes,
            "the buffer of a message must hold ", bytes, " contiguous bytes, got ", wire.numel(),
            " of ", wire.scalar_type());
}

void require_spec(const at::Tensor& x, const TensorSpec& spec) {
  QTK_CHECK(x.sizes() == at::IntArrayRef(spec.shape) && x.scalar_type() == spec.dtype,
            "the tensor to encode is ", x.sizes(), " ", x.scalar_type(), ", announced was ",
            at::IntArrayRef(spec.shape), " ", spec.dtype);
}

void require_host(const at::Tensor& tensor, const char* method) {
  if (!tensor.is_cpu())
    throw Error(std::string("compressor ") + method + " works in host memory, got a tensor on " +
                    tensor.device().str(),
                "choose compressor none, or run the stages on the CPU");
}

at::Tensor to_f32(const at::Tensor& x) { return x.detach().to(at::kFloat).contiguous(); }

at::Tensor saturated(const at::Tensor& values, at::ScalarType dtype) {
  const double limit = largest(dtype);
  if (limit >= largest(values.scalar_type())) return values.to(dtype);
  if (values.is_cpu() && is_within(values, limit)) return values.to(dtype);
  // bf16 cannot hold the largest f16, so the cut is made in f32.
  const at::Tensor wide = values.scalar_type() == at::kDouble ? values : values.to(at::kFloat);
  return at::where(wide.isinf(), wide, wide.clamp(-limit, limit)).to(dtype);
}

}  // namespace qtk::boundary
