#include "text/added_tokens.hpp"

#include "text/utf8.hpp"

#include <utf8proc.h>

#include <algorithm>
#include <limits>

namespace qtk::text {
namespace {

constexpr size_t kMaxContentBytes = 8 << 20;

size_t previous_character(std::string_view text, size_t end) {
  do --end;
  while ((text[end] & 0xc0) == 0x80);
  return end;
}

/// `\w` of Rust's regex crate, short of the few symbols that are Alphabetic without being letters.
bool is_word_character(char32_t c) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
      return true;
    default:
      return c == 0x200c || c == 0x200d || (c >= 0x24b6 && c <= 0x24e9);
  }
}

bool touches_word(std::string_view text, const Range& range) {
  return (range.begin > 0 &&
          is_word_character(decode_utf8(text.data() + previous_character(text, range.begin)))) ||
         (range.end < text.size() && is_word_character(decode_utf8(text.data() + range.end)));
}

size_t white_space_before(std::string_view text, size_t at) {
  while (at > 0) {
    const size_t previous = previous_character(text, at);
    if (!is_white_space(decode_utf8(text.data() + previous))) break;
    at = previous;
  }
  return at;
}

size_t white_space_behind(std::string_view text, size_t at) {
  while (at < text.size() && is_white_space(decode_utf8(text.data() + at)))
    at += utf8_length(text[at]);
  return at;
}

}  // namespace

std::vector<AddedToken> read_added_tokens(const JsonField& field) {
  std::vector<AddedToken> tokens;
  size_t bytes = 0;
  for (const JsonField& item : field.items()) {
    item.allow_keys({"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"});
    AddedToken token;
    token.id = static_cast<int32_t>(item.at("id").integer(0, std::numeric_limits<int32_t>::max()));
    token.content = item.at("content").text();
    if (token.content.empty()) item.at("content").fail("is empty");
    bytes += token.content.size();
    if (bytes > kMaxContentBytes)
      field.fail("holds more than " + std::to_string(kMaxContentBytes) + " bytes of tokens");
    token.is_single_word = item.flag_or("single_word", false);
    token.strips_left = item.flag_or("lstrip", false);
    token.strips_right = item.flag_or("rstrip", false);
    token.is_special = item.flag_or("special", false);
    token.is_normalized = item.flag_or("normalized", !token.is_special);
    tokens.push_back(std::move(token));
  }
  return tokens;
}

AddedTokenMatcher::AddedTokenMatcher(const std::vector<AddedToken>& tokens,
                                     const Normalizer* normalizer)
    : tokens_(tokens), nodes_(1), starts_token_(256, false) {
  for (size_t i = 0; i < tokens_.size(); ++i) {
    const std::string key = normalizer ? normalizer->apply(tokens_[i].content) : tokens_[i].content;
    if (key.empty()) continue;
    starts_token_[static_cast<unsigned char>(key[0])] = true;
    int32_t node = 0;
    for (const char c : key) {
      const auto next = static_cast<int32_t>(nodes_.size());
      const auto [child, is_new] = nodes_[node].children.emplace(c, next);
      node = child->second;
      if (is_new) nodes_.emplace_back();
    }
    if (nodes_[node].token < 0) nodes_[node].token = static_cast<int32_t>(i);
  }
}

std::optional<AddedTokenMatcher::Match> AddedTokenMatcher::find(std::string_view text,
                                                                size_t from) const {
  for (size_t begin = from; begin < text.size(); ++begin) {
    if (!starts_token_[static_cast<unsigned char>(text[begin])]) continue;
    std::optional<Match> longest;
    int32_t node = 0;
    for (size_t end = begin; end < text.size(); ++end) {
      const auto child = nodes_[node].children.find(text[end]);
      if (child == nodes_[node].children.end()) break;
      node = child->second;
      if (nodes_[node].token >= 0) longest = {{begin, end + 1}, &tokens_[nodes_[node].token]};
    }
    if (longest) return longest;
  }
  return std::nullopt;
}

std::vector<AddedTokenMatcher::Part> AddedTokenMatcher::split(std::string_view text) const {
  std::vector<Part> parts;
  size_t behind = 0;  // end of the last part
  size_t from = 0;    // end of the last match, which a stripped space may lie behind
  while (const auto match = tokens_.empty() ? std::nullopt : find(text, from)) {
    from = match->range.end;
    if (match->token->is_single_word && touches_word(text, match->range)) continue;
    Range range = match->range;
    if (match->token->strips_left)
      range.begin = std::max(white_space_before(text, range.begin), behind);
    if (match->token->strips_right) range.end = white_space_behind(text, range.end);
    if (behind < range.begin) parts.push_back({{behind, range.begin}, std::nullopt});
    parts.push_back({range, match->token->id});
    behind = range.end;
  }
  if (behind < text.size()) parts.push_back({{behind, text.size()}, std::nullopt});
  return parts;
}

}  // namespace qtk::text
