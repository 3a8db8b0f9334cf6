// Byte-pair encoding: vocabulary and merges, and the ids of one word.
#pragma once

#include "text/json_field.hpp"
#include "text/merge_table.hpp"
#include "text/word_cache.hpp"

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace qtk::text {

/// Immutable; may be used from several threads, each with a cache of its own.
class BpeModel {
 public:
  /// The object `model` of tokenizer.json, type BPE, without dropout, prefixes and suffixes.
  /// @throws DataError naming the field: unknown members, ids out of range or given twice, merges
  /// of unknown tokens
  static BpeModel read(const JsonField& field);
  BpeModel(BpeModel&&) noexcept = default;
  BpeModel& operator=(BpeModel&&) noexcept = default;

  /// Appends the ids of `word`, valid UTF-8 in the vocabulary's alphabet. Characters outside the
  /// vocabulary become their bytes, the unknown token, or nothing if the model has neither.
  void encode(std::string_view word, WordCache& cache, std::vector<int32_t>& ids) const;

  std::optional<int32_t> id_of(std::string_view token) const;
  /// By id; data() is null where the vocabulary has a hole (added tokens may fill it).
  const std::vector<std::string_view>& tokens() const { return tokens_; }

 private:
  static constexpr size_t kCrossingBits = 1 << 20;
  static constexpr int32_t kAbsent = -1;

  BpeModel() = default;
  void read_vocabulary(const JsonField& field);
  void read_merges(const JsonField& field);
  void index_symbols();
  void note_crossing(std::string_view left, std::string_view right);
  int32_t symbol_of(char32_t character) const;
  static size_t crossing_bit(char32_t left, char32_t right);

  /// End of the segment that starts at `begin`: no merge can reach across it.
  size_t segment_end(std::string_view word, size_t begin) const;
  void encode_segment(std::string_view segment, WordCache& cache, std::vector<int32_t>& ids) const;
  std::vector<int32_t> initial_symbols(std::string_view segment) const;

  struct TokenHash {
    using is_transparent = void;
    size_t operator()(std::string_view token) const { return std::hash<std::string_view>()(token); }
  };

  std::unordered_map<std::string, int32_t, TokenHash, std::equal_to<>> ids_;
  std::vector<std::string_view> tokens_;  // into the keys of ids_
  MergeTable merges_;
  std::vector<int32_t>
      symbols_;  // ids of one-character tokens of the Basic Multilingual Plane, kAbsent elsewhere
  std::unordered_map<char32_t, int32_t> far_symbols_;
  std::array<int32_t, 256> byte_ids_;  // of "<0x00>" ... "<0xFF>", with byte fallback
  std::optional<int32_t> unknown_;
  std::vector<bool> crossings_;  // hashed pairs of characters that some merge joins
  bool has_cuts_ = true;         // whether crossings_ describes all merges
  bool falls_back_to_bytes_ = false;
  bool fuses_unknown_ = false;
  bool ignores_merges_ = false;
};

}  // namespace qtk::text
