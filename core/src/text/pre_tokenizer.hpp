// Pre-tokenizers: they cut a normalized text into words and spell the words in the vocabulary's
// alphabet.
#pragma once

#include "text/json_field.hpp"
#include "text/pieces.hpp"

#include <memory>
#include <optional>
#include <string>

namespace qtk::text {

/// GPT-2's expression, which ByteLevel applies when use_regex is set.
extern const char* const kGpt2Expression;

/// Immutable; may be used from several threads.
class PreTokenizer {
 public:
  virtual ~PreTokenizer();
  virtual void apply(Pieces& pieces) const = 0;
};

/// Where Metaspace puts a space in front of a text that does not start with one.
enum class PrependScheme { kAlways, kFirst, kNever };

struct MetaspaceOptions {
  std::string replacement;  // one character, usually U+2581
  PrependScheme prepend = PrependScheme::kAlways;
  bool splits = true;
};

/// The fields that the pre-tokenizer and the decoder of this name share. @throws DataError
MetaspaceOptions read_metaspace_options(const JsonField& field);

/// Sequence, ByteLevel, Split, Digits and Metaspace; null for a missing field. @throws DataError
/// naming the field
std::unique_ptr<const PreTokenizer> read_pre_tokenizer(const std::optional<JsonField>& field);

}  // namespace qtk::text
