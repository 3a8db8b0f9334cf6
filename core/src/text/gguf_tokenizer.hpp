// Tokenizers in GGUF metadata (keys `tokenizer.ggml.*`, github.com/ggml-org/ggml, docs/gguf.md) and
// in Hugging Face folders, each rebuilt from the other.
#pragma once

#include "format/gguf_metadata.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>

namespace qtk::text {

struct SpecialTokenIds {
  std::optional<int32_t> bos, eos, unk, pad;
};

/// @throws DataError for an id outside the vocabulary
SpecialTokenIds special_token_ids(const format::GgufMetadata& metadata);

/// Writes tokenizer.json, tokenizer_config.json (with the chat template), special_tokens_map.json
/// and generation_config.json (the ids that end a generation) into `folder`.
///
/// `tokenizer.ggml.model` is "gpt2" (byte-level; `tokenizer.ggml.pre` names the rule by which text
/// is split, see gguf_split_rules.cpp) or "llama" (SentencePiece; merges come from the file or are
/// rebuilt from the scores).
/// @throws DataError naming the key that is missing, damaged or of an unsupported kind
void write_tokenizer_files(const format::GgufMetadata& metadata,
                           const std::filesystem::path& folder);

/// Adds what write_tokenizer_files() and llama.cpp read, from a folder with tokenizer.json.
/// @param num_embeddings  rows of the embedding: the vocabulary is padded to them with unused
/// tokens; 0 for none
/// @throws DataError if the tokenizer cannot be expressed in GGUF
void add_tokenizer_metadata(const std::filesystem::path& folder, format::GgufMetadata& metadata,
                            int64_t num_embeddings = 0);

}  // namespace qtk::text
