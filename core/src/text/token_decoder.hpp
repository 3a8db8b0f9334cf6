// Decoders: from tokens back to text.
#pragma once

#include "text/json_field.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace qtk::text {

/// Immutable; may be used from several threads.
class TokenDecoder {
 public:
  virtual ~TokenDecoder();
  /// The text is the concatenation of `tokens` after the last decoder.
  virtual void apply(std::vector<std::string>& tokens) const = 0;
};

/// ByteLevel, Replace, ByteFallback, Fuse, Strip, Metaspace and Sequence; a missing field joins
/// tokens with spaces.
/// @throws DataError naming the field
std::unique_ptr<const TokenDecoder> read_token_decoder(const std::optional<JsonField>& field);

}  // namespace qtk::text
