#include "text/tokenizer.hpp"

#include "base/atomic_file.hpp"
#include "base/hash.hpp"
#include "text/special_token_names.hpp"
#include "text/tokenizer_json.hpp"
#include "text/utf8.hpp"

#include <qtk/runtime/error.hpp>

#include <algorithm>
#include <array>
#include <unordered_map>

namespace qtk::text {
namespace {

// Looked for where no file says which token begins or ends a text.
constexpr std::array<std::string_view, 5> kUsualBos = {"<s>", "<|begin_of_text|>", "<bos>",
                                                       "<|startoftext|>", "<|endoftext|>"};
constexpr std::array<std::string_view, 5> kUsualEos = {"</s>", "<|end_of_text|>", "<eos>",
                                                       "<|endoftext|>", "<|im_end|>"};

std::vector<AddedToken> with_normalized(const std::vector<AddedToken>& tokens, bool is_normalized) {
  std::vector<AddedToken> chosen;
  std::copy_if(tokens.begin(), tokens.end(), std::back_inserter(chosen),
               [&](const AddedToken& token) { return token.is_normalized == is_normalized; });
  return chosen;
}

}  // namespace

struct Tokenizer::Impl {
  explicit Impl(TokenizerParts p)
      : parts(std::move(p)),
        raw_tokens(with_normalized(parts.added_tokens, false), nullptr),
        normalized_tokens(with_normalized(parts.added_tokens, true), parts.normalizer.get()) {
    for (const AddedToken& token : parts.added_tokens) {
      added_ids.emplace(token.content, token.id);
      added_contents.emplace(token.id, token.content);
    }
  }

  std::optional<int32_t> id_of(std::string_view token) const {
    const auto added = added_ids.find(std::string(token));
    return added == added_ids.end() ? parts.model.id_of(token) : added->second;
  }

  void encode_section(std::string_view section, bool starts_document, WordCache& cache,
                      std::vector<int32_t>& ids) const;
  void encode_words(std::string_view text, bool starts_document, WordCache& cache,
                    std::vector<int32_t>& ids) const;

  /// The token that plays a part: as the files say, or else the first of the usual names.
  std::optional<int32_t> part(const SpecialTokenNames::Part& said,
                              std::span<const std::string_view> usual,
                              const std::filesystem::path& folder, const char* name) const;

  const TokenizerParts parts;
  const AddedTokenMatcher raw_tokens, normalized_tokens;
  std::unordered_map<std::string, int32_t> added_ids;
  std::unordered_map<int32_t, std::string> added_contents;
  std::optional<int32_t> bos, eos;
  std::string fingerprint;
};

void Tokenizer::Impl::encode_section(std::string_view section, bool starts_document,
                                     WordCache& cache, std::vector<int32_t>& ids) const {
  std::string normalized(section);
  if (parts.normalizer) normalized = parts.normalizer->apply(std::move(normalized));
  for (const auto& [range, id] : normalized_tokens.split(normalized)) {
    if (id) {
      ids.push_back(*id);
    } else {
      encode_words(std::string_view(normalized).substr(range.begin, range.size()),
                   starts_document && range.begin == 0, cache, ids);
    }
  }
}

void Tokenizer::Impl::encode_words(std::string_view text, bool starts_document, WordCache& cache,
                                   std::vector<int32_t>& ids) const {
  Pieces pieces{std::string(text), {{0, text.size()}}, starts_document};
  if (parts.pre_tokenizer) parts.pre_tokenizer->apply(pieces);
  for (const Range& range : pieces.ranges) parts.model.encode(pieces.view(range), cache, ids);
}

std::optional<int32_t> Tokenizer::Impl::part(const SpecialTokenNames::Part& said,
                                             std::span<const std::string_view> usual,
                                             const std::filesystem::path& folder,
                                             const char* name) const {
  if (said.token) {
    if (const auto id = id_of(*said.token)) return id;
    throw DataError((folder / "tokenizer_config.json").string() + " names `" + *said.token +
                        "` as " + name + ", which is not in tokenizer.json",
                    "take both files from the same model");
  }
  if (said.is_mentioned) return std::nullopt;
  for (const std::string_view token : usual) {
    if (const auto id = id_of(token)) return id;
  }
  return std::nullopt;
}

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;

Tokenizer Tokenizer::load(const std::filesystem::path& path) {
  const auto file = std::filesystem::is_directory(path) ? path / "tokenizer.json" : path;
  const std::string content = read_text_file(file, kMaxTokenizerFileBytes);
  auto impl = std::make_unique<Impl>(read_tokenizer_json(content, file.string()));
  impl->fingerprint = qtk::fingerprint(content);
  const auto folder = file.parent_path();
  const SpecialTokenNames names = read_special_token_names(folder);
  impl->bos = impl->part(names.bos, kUsualBos, folder, "bos_token");
  impl->eos = impl->part(names.eos, kUsualEos, folder, "eos_token");
  return Tokenizer(std::move(impl));
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, SpecialTokens special) const {
  std::string repaired;
  if (valid_utf8_prefix(text) < text.size()) {
    repaired = replace_invalid_utf8(text);
    text = repaired;
  }
  const PostProcessor& added = impl_->parts.post_processor;
  std::vector<int32_t> ids;
  if (special == SpecialTokens::kAdd) ids = added.before;
  WordCache cache;
  for (const auto& [range, id] : impl_->raw_tokens.split(text)) {
    if (id) {
      ids.push_back(*id);
    } else {
      impl_->encode_section(text.substr(range.begin, range.size()), range.begin == 0, cache, ids);
    }
  }
  if (special == SpecialTokens::kAdd)
    ids.insert(ids.end(), added.behind.begin(), added.behind.end());
  return ids;
}

std::string Tokenizer::decode(std::span<const int32_t> ids) const {
  const auto& tokens = impl_->parts.model.tokens();
  std::vector<std::string> words;
  words.reserve(ids.size());
  for (const int32_t id : ids) {
    if (const auto added = impl_->added_contents.find(id); added != impl_->added_contents.end()) {
      words.push_back(added->second);
    } else if (id >= 0 && static_cast<size_t>(id) < tokens.size()) {
      words.emplace_back(tokens[id]);
    }
  }
  impl_->parts.decoder->apply(words);
  std::string text;
  for (const std::string& word : words) text += word;
  return text;
}

int64_t Tokenizer::vocabulary_size() const { return impl_->parts.vocabulary_size; }
std::optional<int32_t> Tokenizer::id_of(std::string_view token) const {
  return impl_->id_of(token);
}
std::optional<int32_t> Tokenizer::bos() const { return impl_->bos; }
std::optional<int32_t> Tokenizer::eos() const { return impl_->eos; }

bool Tokenizer::adds_bos() const {
  const auto& before = impl_->parts.post_processor.before;
  return impl_->bos && !before.empty() && before.front() == *impl_->bos;
}

const std::string& Tokenizer::fingerprint() const { return impl_->fingerprint; }

}  // namespace qtk::text
