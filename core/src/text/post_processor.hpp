// Post-processors: the tokens that stand before and behind every encoded text.
#pragma once

#include "text/json_field.hpp"

#include <cstdint>
#include <optional>
#include <vector>

namespace qtk::text {

struct PostProcessor {
  std::vector<int32_t> before, behind;
};

/// TemplateProcessing, ByteLevel (which adds nothing) and Sequence; nothing is added for a missing
/// field. Only the template for single texts counts. @throws DataError naming the field
PostProcessor read_post_processor(const std::optional<JsonField>& field);

}  // namespace qtk::text
