// Dtypes of weights that are written dense: their names, and the way into them.
#pragma once

#include <qtk/storage_dtype.hpp>

#include <ATen/core/Tensor.h>

#include <string>

namespace qtk::stage {

/// As `torch_dtype` of a config.json says it: "float32", "float16", "bfloat16".
std::string hugging_face_dtype(at::ScalarType dtype);

/// `tensor` in `dtype`, rounded to nearest.
/// @throws ConfigError naming the tensor if a finite value lies beyond the range of f16
at::Tensor stored_as(at::ScalarType dtype, const at::Tensor& tensor, const std::string& name);

}  // namespace qtk::stage
