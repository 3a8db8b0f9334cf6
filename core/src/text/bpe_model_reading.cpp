// The part of BpeModel that reads tokenizer.json.
#include "text/bpe_model.hpp"
#include "text/merge_list.hpp"
#include "text/utf8.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace qtk::text {
namespace {

constexpr size_t kMaxTokens = 1 << 23;
constexpr size_t kMaxMerges = 1 << 24;

bool is_one_character(std::string_view token) {
  return !token.empty() && token.size() == static_cast<size_t>(utf8_length(token[0]));
}

char32_t last_character(std::string_view token) {
  size_t i = token.size() - 1;
  while (i > 0 && (token[i] & 0xc0) == 0x80) --i;
  return decode_utf8(token.data() + i);
}

/// "<0x0A>"
std::string byte_token(int byte) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  return std::string("<0x") + kDigits[byte >> 4] + kDigits[byte & 15] + '>';
}

void refuse_unless_empty(const JsonField& model, std::string_view key) {
  const auto field = model.find(key);
  if (field && !field->text().empty())
    field->fail("is `" + field->text() + "`, which qtk does not implement");
}

/// "left right" or ["left", "right"].
std::pair<std::string_view, std::string_view> merge_parts(const nlohmann::json& merge,
                                                          const JsonField& merges, size_t index) {
  const auto fail = [&](const char* problem) {
    merges.fail("holds " + merge.dump() + " at position " + std::to_string(index) + ", " + problem);
  };
  if (merge.is_array()) {
    if (merge.size() != 2 || !merge[0].is_string() || !merge[1].is_string())
      fail("expected two strings");
    return {merge[0].get_ref<const std::string&>(), merge[1].get_ref<const std::string&>()};
  }
  if (!merge.is_string()) fail("expected a string or a pair of strings");
  const auto parts = split_merge(merge.get_ref<const std::string&>());
  if (!parts) fail("expected two tokens and one space");
  return *parts;
}

}  // namespace

BpeModel BpeModel::read(const JsonField& field) {
  if (field.find("type")) {
    field.type_among({"BPE"});
  } else if (!field.find("merges")) {
    field.fail("has neither `type` nor `merges`, expected a BPE model");
  }
  field.allow_keys({"type", "dropout", "unk_token", "continuing_subword_prefix",
                    "end_of_word_suffix", "fuse_unk", "byte_fallback", "ignore_merges", "vocab",
                    "merges"});
  if (const auto dropout = field.find("dropout"); dropout && dropout->value() != 0.0)
    dropout->fail("is " + dropout->value().dump() +
                  ", expected null: merges are not dropped at random here");
  refuse_unless_empty(field, "continuing_subword_prefix");
  refuse_unless_empty(field, "end_of_word_suffix");

  BpeModel model;
  model.fuses_unknown_ = field.flag_or("fuse_unk", false);
  model.falls_back_to_bytes_ = field.flag_or("byte_fallback", false);
  model.ignores_merges_ = field.flag_or("ignore_merges", false);
  model.read_vocabulary(field.at("vocab"));
  if (const auto unknown = field.find("unk_token")) {
    model.unknown_ = model.id_of(unknown->text());
    if (!model.unknown_)
      unknown->fail("is `" + unknown->text() + "`, which is not in the vocabulary");
  }
  model.index_symbols();
  model.read_merges(field.at("merges"));
  return model;
}

void BpeModel::read_vocabulary(const JsonField& field) {
  if (!field.value().is_object() || field.value().empty())
    field.fail("is not an object with tokens");
  if (field.value().size() > kMaxTokens)
    field.fail("has " + std::to_string(field.value().size()) + " tokens, expected at most " +
               std::to_string(kMaxTokens));
  ids_.reserve(field.value().size());
  for (const auto& [token, value] : field.value().items()) {
    const bool fits = value.is_number_unsigned() && value.get<uint64_t>() < kMaxTokens;
    if (!fits)
      field.fail("gives `" + token + "` the id " + value.dump() + ", expected an integer in [0, " +
                 std::to_string(kMaxTokens - 1) + "]");
    const auto id = value.get<int32_t>();
    if (static_cast<size_t>(id) >= tokens_.size()) tokens_.resize(id + 1);
    if (tokens_[id].data())
      field.fail("gives the id " + std::to_string(id) + " to both `" + std::string(tokens_[id]) +
                 "` and `" + token + "`");
    tokens_[id] = ids_.emplace(token, id).first->first;
  }
}

void BpeModel::index_symbols() {
  symbols_.assign(0x10000, kAbsent);
  for (size_t id = 0; id < tokens_.size(); ++id) {
    if (!is_one_character(tokens_[id])) continue;
    const char32_t character = decode_utf8(tokens_[id].data());
    if (character < symbols_.size()) {
      symbols_[character] = static_cast<int32_t>(id);
    } else {
      far_symbols_[character] = static_cast<int32_t>(id);
    }
  }
  for (int byte = 0; byte < 256; ++byte)
    byte_ids_[byte] = id_of(byte_token(byte)).value_or(kAbsent);
}

void BpeModel::read_merges(const JsonField& field) {
  if (!field.value().is_array()) field.fail("is not an array");
  if (field.value().size() > kMaxMerges)
    field.fail("has " + std::to_string(field.value().size()) + " elements, expected at most " +
               std::to_string(kMaxMerges));
  merges_ = MergeTable(field.value().size());
  crossings_.assign(kCrossingBits, false);
  uint32_t rank = 0;
  std::string merged;
  for (const nlohmann::json& merge : field.value()) {
    const auto [left, right] = merge_parts(merge, field, rank);
    merged.assign(left).append(right);
    const auto id = [&](std::string_view token) {
      const auto found = id_of(token);
      if (!found)
        field.fail("holds " + merge.dump() + " at position " + std::to_string(rank) + ", but `" +
                   std::string(token) + "` is not in the vocabulary");
      return *found;
    };
    const int32_t left_id = id(left), right_id = id(right);
    merges_.insert(left_id, right_id, {rank, id(merged)});
    note_crossing(left, right);
    ++rank;
  }
}

void BpeModel::note_crossing(std::string_view left, std::string_view right) {
  const auto is_not_spelled = [this](std::string_view token) {
    const auto id = id_of(token);
    return token.empty() || id == unknown_ ||
           (falls_back_to_bytes_ &&
            std::find(byte_ids_.begin(), byte_ids_.end(), id) != byte_ids_.end());
  };
  // Symbols that do not stand for their own characters: pairs of characters no longer tell what can
  // merge.
  if (is_not_spelled(left) || is_not_spelled(right)) {
    has_cuts_ = false;
    return;
  }
  crossings_[crossing_bit(last_character(left), decode_utf8(right.data()))] = true;
}

}  // namespace qtk::text
