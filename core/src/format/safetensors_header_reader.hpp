// The JSON of a safetensors header, event by event.
#pragma once

#include "format/safetensors_header.hpp"

#include <cstdint>
#include <filesystem>
#include <string_view>
#include <vector>

namespace qtk::format {

/// Fills tensors, offsets and metadata of `header`, and the end of each tensor's data. Offsets
/// count from the start of the data. Checks each entry on its own: fields, types, sizes; not names
/// and ranges against each other.
/// @throws DataError naming file, tensor and field
void parse_safetensors_header(std::string_view text, const std::filesystem::path& path,
                              SafetensorsHeader& header, std::vector<int64_t>& ends);

}  // namespace qtk::format
