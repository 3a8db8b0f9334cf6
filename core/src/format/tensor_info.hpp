// Name, dtype and shape of a stored tensor, known before its data is touched.
#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>
#include <string>
#include <vector>

namespace qtk::format {

struct TensorInfo {
  std::string name;
  at::ScalarType dtype = at::kFloat;
  std::vector<int64_t> shape;

  int64_t numel() const {
    int64_t n = 1;
    for (const int64_t size : shape) n *= size;
    return n;
  }
  int64_t nbytes() const { return numel() * static_cast<int64_t>(c10::elementSize(dtype)); }
};

/// "[64, 64]"
std::string shape_text(const std::vector<int64_t>& shape);

}  // namespace qtk::format
