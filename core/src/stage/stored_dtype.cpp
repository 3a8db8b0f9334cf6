#include "stage/stored_dtype.hpp"

#include <qtk/runtime/error.hpp>

#include <ATen/ATen.h>

namespace qtk::stage {

std::string hugging_face_dtype(at::ScalarType dtype) {
  return dtype == at::kHalf ? "float16" : dtype == at::kBFloat16 ? "bfloat16" : "float32";
}

at::Tensor stored_as(at::ScalarType dtype, const at::Tensor& tensor, const std::string& name) {
  auto stored = tensor.to(dtype);
  const bool may_overflow = dtype == at::kHalf && tensor.scalar_type() != at::kHalf;
  if (may_overflow && stored.isinf().logical_and_(tensor.isfinite()).any().item<bool>())
    throw ConfigError(name + " holds weights beyond the range of f16", "use bf16 or f32");
  return stored;
}

}  // namespace qtk::stage
