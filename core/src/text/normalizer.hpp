// Normalizers: what happens to a text before it is cut into words.
#pragma once

#include "text/json_field.hpp"

#include <memory>
#include <optional>
#include <string>

namespace qtk::text {

/// Immutable; may be used from several threads.
class Normalizer {
 public:
  virtual ~Normalizer();
  /// @param text valid UTF-8
  virtual std::string apply(std::string text) const = 0;
};

/// Sequence, Prepend, Replace, NFC, NFD, NFKC and NFKD; null for a missing field.
/// @throws DataError naming the field
std::unique_ptr<const Normalizer> read_normalizer(const std::optional<JsonField>& field);

}  // namespace qtk::text
