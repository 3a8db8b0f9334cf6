#include "text/bpe_model.hpp"

#include "text/symbol_merging.hpp"
#include "text/utf8.hpp"

#include <algorithm>

namespace qtk::text {
namespace {

constexpr char32_t kPlaneSize = 0x10000;

}  // namespace

int32_t BpeModel::symbol_of(char32_t character) const {
  if (character < kPlaneSize) return symbols_[character];
  const auto symbol = far_symbols_.find(character);
  return symbol == far_symbols_.end() ? kAbsent : symbol->second;
}

size_t BpeModel::crossing_bit(char32_t left, char32_t right) {
  const uint64_t key = static_cast<uint64_t>(left) << 21 | right;
  return static_cast<size_t>(key * 0x9e3779b97f4a7c15u >> 44) % kCrossingBits;
}

void BpeModel::encode(std::string_view word, WordCache& cache, std::vector<int32_t>& ids) const {
  if (ignores_merges_) {
    if (const auto id = id_of(word)) {
      ids.push_back(*id);
      return;
    }
  }
  for (size_t begin = 0; begin < word.size();) {
    const size_t end = segment_end(word, begin);
    encode_segment(word.substr(begin, end - begin), cache, ids);
    begin = end;
  }
}

// SentencePiece-style tokenizers hand over whole texts as one word. Between two known characters
// that stand side by side in no merge, the text can be cut without changing the result; the
// segments are about as long as words and repeat like words. Unknown characters are never cut at:
// they may be dropped or fused, which makes others neighbours.
size_t BpeModel::segment_end(std::string_view word, size_t begin) const {
  if (!has_cuts_) return word.size();
  char32_t left = decode_utf8(word.data() + begin);
  bool left_is_known = symbol_of(left) != kAbsent;
  for (size_t i = begin + utf8_length(word[begin]); i < word.size(); i += utf8_length(word[i])) {
    const char32_t right = decode_utf8(word.data() + i);
    const bool right_is_known = symbol_of(right) != kAbsent;
    if (left_is_known && right_is_known && !crossings_[crossing_bit(left, right)]) return i;
    left = right;
    left_is_known = right_is_known;
  }
  return word.size();
}

void BpeModel::encode_segment(std::string_view segment, WordCache& cache,
                              std::vector<int32_t>& ids) const {
  if (const auto known = cache.find(segment); !known.empty()) {
    ids.insert(ids.end(), known.begin(), known.end());
    return;
  }
  std::vector<int32_t> symbols = initial_symbols(segment);
  merge_symbols(symbols, merges_);
  cache.insert(segment, symbols);
  ids.insert(ids.end(), symbols.begin(), symbols.end());
}

std::vector<int32_t> BpeModel::initial_symbols(std::string_view segment) const {
  std::vector<int32_t> symbols;
  symbols.reserve(segment.size());
  // `tokenizers` holds an unknown token back until a known character follows, also past bytes of a
  // fallback.
  bool is_unknown_pending = false;
  for (size_t i = 0; i < segment.size(); i += utf8_length(segment[i])) {
    const int32_t symbol = symbol_of(decode_utf8(segment.data() + i));
    if (symbol != kAbsent) {
      if (is_unknown_pending) symbols.push_back(*unknown_);
      is_unknown_pending = false;
      symbols.push_back(symbol);
      continue;
    }
    const std::string_view bytes = segment.substr(i, utf8_length(segment[i]));
    const auto byte_id = [this](char byte) { return byte_ids_[static_cast<unsigned char>(byte)]; };
    if (falls_back_to_bytes_ && std::all_of(bytes.begin(), bytes.end(),
                                            [&](char byte) { return byte_id(byte) != kAbsent; })) {
      for (const char byte : bytes) symbols.push_back(byte_id(byte));
    } else if (unknown_) {
      if (is_unknown_pending && !fuses_unknown_) symbols.push_back(*unknown_);
      is_unknown_pending = true;
    }
  }
  if (is_unknown_pending) symbols.push_back(*unknown_);
  return symbols;
}

std::optional<int32_t> BpeModel::id_of(std::string_view token) const {
  const auto found = ids_.find(token);
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

}  // namespace qtk::text
