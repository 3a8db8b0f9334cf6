// Which tokens of a folder play the parts of BOS, EOS, UNK and PAD.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace qtk::text {

struct SpecialTokenNames {
  /// What a file says about a part: not mentioned, mentioned as null ("none"), or a token.
  struct Part {
    bool is_mentioned = false;
    std::optional<std::string> token;
  };
  Part bos, eos, unk, pad;
};

/// From tokenizer_config.json, then special_tokens_map.json, of `folder`; either may be missing.
/// @throws DataError for a damaged file
SpecialTokenNames read_special_token_names(const std::filesystem::path& folder);

}  // namespace qtk::text
