// Tokenizers read from a Hugging Face tokenizer.json: byte-level BPE (GPT-2, SmolLM2, Llama-3,
// Qwen2) and SentencePiece-style BPE with byte fallback (Llama-2, Mistral). Ids equal those of the
// `tokenizers` package.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace qtk::text {

enum class SpecialTokens {
  kAdd,  // what the post-processor adds (BOS and the like), as `tokenizers` does by default
  kOmit,
};

/// Immutable after loading; encode() and decode() may be called from several threads.
class Tokenizer {
 public:
  /// A model folder that holds tokenizer.json, or the file itself.
  /// @throws DataError naming the file and the part of it that is missing, damaged or of an
  /// unsupported kind
  static Tokenizer load(const std::filesystem::path& path);
  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;

  /// Any bytes; invalid UTF-8 is replaced by U+FFFD. Long texts are encoded without limits on their
  /// length.
  std::vector<int32_t> encode(std::string_view text,
                              SpecialTokens special = SpecialTokens::kAdd) const;
  /// Special tokens appear as their text; ids outside the vocabulary are skipped.
  std::string decode(std::span<const int32_t> ids) const;

  /// One more than the largest id.
  int64_t vocabulary_size() const;
  std::optional<int32_t> id_of(std::string_view token) const;
  /// From tokenizer_config.json beside the file, or from special tokens of the usual names.
  std::optional<int32_t> bos() const;
  std::optional<int32_t> eos() const;
  /// Whether encode(kAdd) puts BOS in front.
  bool adds_bos() const;
  /// Hash of tokenizer.json: token files made with another tokenizer are refused.
  const std::string& fingerprint() const;

 private:
  struct Impl;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace qtk::text
