#include "text/gguf_vocabulary.hpp"

#include "text/gguf_tokenizer.hpp"
#include "text/sentencepiece_merges.hpp"
#include "text/utf8.hpp"

#include <qtk/runtime/error.hpp>

#include <unordered_set>

namespace qtk::text {
namespace gguf {
namespace {

using format::GgufMetadata;

constexpr size_t kMaxTokenBytes = 4096;  // rebuilding merges is quadratic in it

void check_count(size_t found, const char* key, size_t tokens) {
  if (found != tokens)
    throw DataError(std::string(key) + " has " + std::to_string(found) +
                        " elements, expected one for each of " + std::to_string(tokens) + " tokens",
                    kFetchAgain);
}

}  // namespace

Vocabulary read_vocabulary(const GgufMetadata& metadata) {
  Vocabulary vocabulary{metadata.texts(kTokens), {}};
  const size_t count = vocabulary.tokens.size();
  if (count == 0) throw DataError(std::string(kTokens) + " is empty, expected tokens", kFetchAgain);
  vocabulary.types.assign(count, kNormal);
  if (metadata.has(kTokenTypes)) vocabulary.types = metadata.integers(kTokenTypes);
  check_count(vocabulary.types.size(), kTokenTypes, count);
  std::unordered_set<std::string_view> seen;
  for (size_t id = 0; id < count; ++id) {
    const std::string& token = vocabulary.tokens[id];
    if (token.size() > kMaxTokenBytes)
      throw DataError("token " + std::to_string(id) + " of " + kTokens + " has " +
                          std::to_string(token.size()) + " bytes, expected at most " +
                          std::to_string(kMaxTokenBytes),
                      kFetchAgain);
    if (valid_utf8_prefix(token) < token.size())
      throw DataError("token " + std::to_string(id) + " of " + kTokens + " is not valid UTF-8",
                      kFetchAgain);
    if (!seen.insert(token).second)
      throw DataError(std::string(kTokens) + " holds `" + token +
                          "` twice, the second time as token " + std::to_string(id),
                      kFetchAgain);
  }
  return vocabulary;
}

MergeList read_merges(const GgufMetadata& metadata) {
  MergeList merges;
  for (const std::string& line : metadata.texts(kMerges)) {
    const auto parts = split_merge(line);
    if (!parts || valid_utf8_prefix(line) < line.size())
      throw DataError(std::string(kMerges) + " is damaged at position " +
                          std::to_string(merges.size()) + ", expected two tokens and one space",
                      kFetchAgain);
    merges.emplace_back(*parts);
  }
  return merges;
}

MergeList read_or_rebuild_merges(const GgufMetadata& metadata, const Vocabulary& vocabulary) {
  if (metadata.has(kMerges)) return read_merges(metadata);
  const std::vector<double> scores = metadata.reals(kScores);
  check_count(scores.size(), kScores, vocabulary.tokens.size());
  return merges_from_scores(vocabulary.tokens, scores);
}

}  // namespace gguf

SpecialTokenIds special_token_ids(const format::GgufMetadata& metadata) {
  const auto count = static_cast<int64_t>(metadata.texts(gguf::kTokens).size());
  const auto id_at = [&](const char* key) -> std::optional<int32_t> {
    if (!metadata.has(key)) return std::nullopt;
    const int64_t id = metadata.integer(key);
    if (id < 0 || id >= count)
      throw DataError(std::string(key) + " is " + std::to_string(id) + ", but there are only " +
                          std::to_string(count) + " tokens",
                      gguf::kFetchAgain);
    return static_cast<int32_t>(id);
  };
  return {id_at(gguf::kBosId), id_at(gguf::kEosId), id_at(gguf::kUnkId), id_at(gguf::kPadId)};
}

}  // namespace qtk::text
