// GGUF files made piece by piece, so that each piece can be wrong.
#pragma once

#include "format/gguf_parse.hpp"
#include "format_fixtures.hpp"

#include <string>
#include <vector>

namespace qtk::format {

inline std::string gguf_text(std::string_view text) {
  return raw(uint64_t{text.size()}) + std::string(text);
}

inline std::string gguf_key(std::string_view key, GgufType type, const std::string& value) {
  return gguf_text(key) + raw(type) + value;
}

inline std::string gguf_list(GgufType element, uint64_t count, const std::string& elements) {
  return raw(element) + raw(count) + elements;
}

/// Sizes fastest first, as in the file.
inline std::string gguf_tensor(std::string_view name, const std::vector<uint64_t>& sizes,
                               uint32_t type, uint64_t offset) {
  std::string entry = gguf_text(name) + raw(static_cast<uint32_t>(sizes.size()));
  for (const uint64_t size : sizes) entry += raw(size);
  return entry + raw(type) + raw(offset);
}

inline std::string gguf_preamble(uint64_t tensors, uint64_t keys, uint32_t version = 3) {
  return "GGUF" + raw(version) + raw(tensors) + raw(keys);
}

/// A whole file: keys, tensor entries, padding to 32, data.
inline std::string gguf_bytes(const std::vector<std::string>& keys,
                              const std::vector<std::string>& tensors = {}, size_t data_bytes = 0,
                              uint32_t version = 3) {
  std::string file = gguf_preamble(tensors.size(), keys.size(), version);
  for (const auto& key : keys) file += key;
  for (const auto& tensor : tensors) file += tensor;
  file.resize((file.size() + 31) / 32 * 32);
  return file + std::string(data_bytes, '\0');
}

}  // namespace qtk::format
