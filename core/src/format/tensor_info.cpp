#include "format/tensor_info.hpp"

#include "base/nearest_name.hpp"

namespace qtk::format {

std::string shape_text(const std::vector<int64_t>& shape) {
  std::vector<std::string> sizes;
  for (const int64_t size : shape) sizes.push_back(std::to_string(size));
  return "[" + join(sizes) + "]";
}

}  // namespace qtk::format
