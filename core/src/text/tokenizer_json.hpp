// tokenizer.json as a whole: its parts, each read by the file of its name, and what must hold
// between them.
#pragma once

#include "text/added_tokens.hpp"
#include "text/bpe_model.hpp"
#include "text/normalizer.hpp"
#include "text/post_processor.hpp"
#include "text/pre_tokenizer.hpp"
#include "text/token_decoder.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace qtk::text {

/// The largest published vocabularies take 40 MB.
inline constexpr int64_t kMaxTokenizerFileBytes = int64_t{256} << 20;

struct TokenizerParts {
  std::unique_ptr<const Normalizer> normalizer;       // null: none
  std::unique_ptr<const PreTokenizer> pre_tokenizer;  // null: none
  std::vector<AddedToken> added_tokens;
  BpeModel model;
  PostProcessor post_processor;
  std::unique_ptr<const TokenDecoder> decoder;
  int64_t vocabulary_size;  // one more than the largest id; every id below it has a token
};

/// Truncation and padding are left out: whoever wants them cuts and pads the ids.
/// @throws DataError naming `file` and the field that is missing, damaged or of an unsupported kind
TokenizerParts read_tokenizer_json(std::string_view content, const std::string& file);

}  // namespace qtk::text
