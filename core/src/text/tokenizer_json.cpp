#include "text/tokenizer_json.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <unordered_set>

namespace qtk::text {
namespace {

constexpr int64_t kMaxVocabulary = 1 << 24;

/// Checks that model and added tokens together give every id exactly one token. Returns their
/// number.
int64_t check_ids(const JsonField& top, const BpeModel& model,
                  const std::vector<AddedToken>& added) {
  std::vector<std::string_view> tokens = model.tokens();
  std::unordered_set<std::string_view> contents;
  for (const auto& token : added) {
    const auto fail = [&](const std::string& problem) {
      top.at("added_tokens")
          .fail("gives `" + token.content + "` the id " + std::to_string(token.id) + ", " +
                problem);
    };
    if (token.id >= kMaxVocabulary) fail("expected at most " + std::to_string(kMaxVocabulary - 1));
    if (!contents.insert(token.content).second) fail("but holds that token twice");
    if (const auto known = model.id_of(token.content); known && *known != token.id)
      fail("but the vocabulary of the model gives it " + std::to_string(*known));
    if (static_cast<size_t>(token.id) >= tokens.size()) tokens.resize(token.id + 1);
    std::string_view& place = tokens[token.id];
    if (place.data() && place != token.content)
      fail("which belongs to `" + std::string(place) + "`");
    place = token.content;
  }
  const auto hole = std::find_if(tokens.begin(), tokens.end(),
                                 [](std::string_view token) { return !token.data(); });
  if (hole != tokens.end())
    top.at("model").fail("has no token for the id " + std::to_string(hole - tokens.begin()) +
                             ", although ids go up to " + std::to_string(tokens.size() - 1),
                         "save the tokenizer again with a vocabulary without gaps");
  return static_cast<int64_t>(tokens.size());
}

void check_post_processor(const JsonField& top, const PostProcessor& added,
                          int64_t vocabulary_size) {
  for (const auto* ids : {&added.before, &added.behind}) {
    for (const int32_t id : *ids) {
      if (id >= vocabulary_size)
        top.at("post_processor")
            .fail("adds the id " + std::to_string(id) + ", but the vocabulary has only " +
                  std::to_string(vocabulary_size));
    }
  }
}

}  // namespace

TokenizerParts read_tokenizer_json(std::string_view content, const std::string& file) {
  const nlohmann::json document = parse_json(content, file);
  const JsonField top(document, file);
  top.allow_keys({"version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer",
                  "post_processor", "decoder", "model"});
  const auto added = top.find("added_tokens");
  TokenizerParts parts{
      .normalizer = read_normalizer(top.find("normalizer")),
      .pre_tokenizer = read_pre_tokenizer(top.find("pre_tokenizer")),
      .added_tokens = added ? read_added_tokens(*added) : std::vector<AddedToken>(),
      .model = BpeModel::read(top.at("model")),
      .post_processor = read_post_processor(top.find("post_processor")),
      .decoder = read_token_decoder(top.find("decoder")),
      .vocabulary_size = 0};
  parts.vocabulary_size = check_ids(top, parts.model, parts.added_tokens);
  check_post_processor(top, parts.post_processor, parts.vocabulary_size);
  return parts;
}

}  // namespace qtk::text
