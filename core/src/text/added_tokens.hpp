// Added tokens: strings such as "<|im_start|>" that are found in the text before the model sees it.
#pragma once

#include "text/json_field.hpp"
#include "text/normalizer.hpp"
#include "text/pattern.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qtk::text {

struct AddedToken {
  int32_t id = 0;
  std::string content;
  bool is_single_word = false;  // not inside a word
  bool strips_left = false;     // takes the white space before it along
  bool strips_right = false;
  bool is_normalized = false;  // looked for in the normalized text, in normalized form
  bool is_special = false;
};

/// The array `added_tokens`. @throws DataError naming the element
std::vector<AddedToken> read_added_tokens(const JsonField& field);

/// Finds any of a set of tokens, leftmost first and of those the longest, without overlap.
class AddedTokenMatcher {
 public:
  /// @param normalizer  applied to the content of the tokens; null for none
  AddedTokenMatcher(const std::vector<AddedToken>& tokens, const Normalizer* normalizer);

  /// A part of the text: an added token or what lies between two of them. Never empty.
  struct Part {
    Range range;
    std::optional<int32_t> id;
  };
  std::vector<Part> split(std::string_view text) const;

 private:
  struct Node {
    std::map<char, int32_t> children;
    int32_t token = -1;  // index into tokens_
  };
  struct Match {
    Range range;
    const AddedToken* token;
  };
  std::optional<Match> find(std::string_view text, size_t from) const;

  std::vector<AddedToken> tokens_;
  std::vector<Node> nodes_;
  std::vector<bool> starts_token_;  // by first byte
};

}  // namespace qtk::text
