// The vocabulary as GGUF keys hold it: their names, their numbers, and checked reading.
#pragma once

#include "format/gguf_metadata.hpp"
#include "text/merge_list.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace qtk::text::gguf {

inline constexpr const char* kModel = "tokenizer.ggml.model";
inline constexpr const char* kPre = "tokenizer.ggml.pre";
inline constexpr const char* kTokens = "tokenizer.ggml.tokens";
inline constexpr const char* kTokenTypes = "tokenizer.ggml.token_type";
inline constexpr const char* kMerges = "tokenizer.ggml.merges";
inline constexpr const char* kScores = "tokenizer.ggml.scores";
inline constexpr const char* kBosId = "tokenizer.ggml.bos_token_id";
inline constexpr const char* kEosId = "tokenizer.ggml.eos_token_id";
inline constexpr const char* kUnkId = "tokenizer.ggml.unknown_token_id";
inline constexpr const char* kPadId = "tokenizer.ggml.padding_token_id";
inline constexpr const char* kAddBos = "tokenizer.ggml.add_bos_token";
inline constexpr const char* kAddEos = "tokenizer.ggml.add_eos_token";
inline constexpr const char* kAddSpacePrefix = "tokenizer.ggml.add_space_prefix";
inline constexpr const char* kChatTemplate = "tokenizer.chat_template";
/// Ours. GGUF can say that a space is put in front, but not of what: "section" (of every stretch
/// between added tokens, as llama.cpp does) or "document" (only of the beginning).
inline constexpr const char* kSpacePrefixScope = "qtk.tokenizer.space_prefix";
inline constexpr const char* kOwnPre = "qtk.tokenizer.pre";

/// U+2581, which stands for a space in SentencePiece's vocabularies.
inline constexpr const char* kSpaceMark = "\xe2\x96\x81";

/// The remedy for damaged files.
inline constexpr const char* kFetchAgain =
    "fetch the GGUF file again, or import from the model's Hugging Face folder";

/// llama.cpp's token types.
enum TokenType : int64_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6
};

/// Distinct tokens in valid UTF-8, each with its type.
struct Vocabulary {
  std::vector<std::string> tokens;
  std::vector<int64_t> types;
};

/// @throws DataError naming the key
Vocabulary read_vocabulary(const format::GgufMetadata& metadata);

/// @throws DataError if a line is not a pair of tokens
MergeList read_merges(const format::GgufMetadata& metadata);

/// The merges of a SentencePiece vocabulary: the file's, or else rebuilt from its scores. @throws
/// DataError
MergeList read_or_rebuild_merges(const format::GgufMetadata& metadata,
                                 const Vocabulary& vocabulary);

}  // namespace qtk::text::gguf
