// The JSON header of a safetensors file: what it may say, and whether the file holds what it says.
//
//   byte 0         8         8 + n                                     end of file
//        | n (u64) | header  | tensor data, each [begin, end) from here |
//
//   header: {"__metadata__": {text: text, ...},
//            "<name>": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ...}
#pragma once

#include "format/tensor_info.hpp"

#include <c10/core/ScalarType.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace qtk::format {

/// Tensors in the order of the header; offsets count from the start of the file. About 250 MB at
/// the limits.
struct SafetensorsHeader {
  std::vector<TensorInfo> tensors;
  std::vector<int64_t> offsets;
  std::vector<uint32_t> by_name;  // indices into `tensors`, sorted by name
  std::map<std::string, std::string> metadata;

  /// Index of the tensor of this name.
  std::optional<size_t> find(std::string_view name) const;
};

/// Reads and checks the header against the bytes of the whole file. @throws DataError naming file,
/// tensor and field
SafetensorsHeader read_safetensors_header(std::span<const std::byte> file,
                                          const std::filesystem::path& path);

/// Length field and header for tensors laid out one after another, padded so that the data starts
/// at a multiple of 8.
/// @throws Error for a repeated or reserved name or a dtype the format lacks
std::string encode_safetensors_header(const std::vector<TensorInfo>& tensors,
                                      const std::map<std::string, std::string>& metadata);

/// "BF16" for at::kBFloat16; empty if the format or this reader lacks it.
std::string_view safetensors_dtype_name(at::ScalarType dtype);
/// The inverse.
std::optional<at::ScalarType> find_safetensors_dtype(std::string_view name);
/// "BOOL, U8, ...": all of them.
std::string safetensors_dtype_names();

}  // namespace qtk::format
