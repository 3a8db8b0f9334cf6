// The rules by which byte-level tokenizers split a text, under the names that `tokenizer.ggml.pre`
// gives them.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <string_view>

namespace qtk::text {

struct SplitRule {
  const char* name;  // as it is written
  nlohmann::json (*pre_tokenizer)();
  bool composes;        // NFC first
  bool ignores_merges;  // a word that is a token is not merged
  bool adds_bos;        // unless the file says otherwise, as llama.cpp assumes
};

/// @throws DataError naming an unknown rule and listing the known ones
const SplitRule& split_rule(std::string_view name);

/// The rule that a tokenizer.json follows. @throws DataError naming `file` if it follows none
const SplitRule& split_rule_of(const nlohmann::json& tokenizer, const std::string& file);

}  // namespace qtk::text
