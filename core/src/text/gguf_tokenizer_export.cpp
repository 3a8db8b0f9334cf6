// From the tokenizer files of a Hugging Face folder to GGUF metadata.
#include "base/atomic_file.hpp"
#include "base/logging.hpp"
#include "text/gguf_split_rules.hpp"
#include "text/gguf_tokenizer.hpp"
#include "text/gguf_vocabulary.hpp"
#include "text/sentencepiece_merges.hpp"
#include "text/special_token_names.hpp"
#include "text/tokenizer.hpp"
#include "text/tokenizer_json.hpp"

#include <qtk/runtime/error.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>

namespace qtk::text {
namespace {

using format::GgufMetadata;
using nlohmann::json;

constexpr const char* kOtherFormat = "export to a Hugging Face folder instead";

/// One tokenizer folder, read three ways: as JSON, as parts and as a working tokenizer.
struct Source {
  explicit Source(const std::filesystem::path& f)
      : folder(f),
        file((folder / "tokenizer.json").string()),
        tokenizer(Tokenizer::load(folder)),
        names(read_special_token_names(folder)) {
    const std::string content = read_text_file(file, kMaxTokenizerFileBytes);
    document = parse_json(content, file);
    parts.emplace(read_tokenizer_json(content, file));
  }

  const json& model() const { return document.at("model"); }
  JsonField model_field() const { return JsonField(document, file).at("model"); }
  std::optional<std::string> unknown_token() const {
    const auto token = model_field().find("unk_token");
    return token ? std::optional(token->text()) : std::nullopt;
  }

  std::filesystem::path folder;
  std::string file;
  Tokenizer tokenizer;
  SpecialTokenNames names;
  json document;
  std::optional<TokenizerParts> parts;
};

bool is_byte_level(const json& pre_tokenizer) {
  if (!pre_tokenizer.is_object()) return false;
  if (pre_tokenizer.value("type", "") == "ByteLevel") return true;
  const json steps = pre_tokenizer.value("pretokenizers", json::array());
  return std::any_of(steps.begin(), steps.end(), is_byte_level);
}

MergeList merges_of(const Source& source) {
  MergeList merges;
  for (const json& merge : source.model().at("merges")) {
    if (merge.is_array()) {
      merges.emplace_back(merge[0], merge[1]);
    } else {
      merges.emplace_back(*split_merge(merge.get_ref<const std::string&>()));
    }
  }
  return merges;
}

void put_merges(const Source& source, const MergeList& merges, GgufMetadata& metadata) {
  std::vector<std::string> lines;
  for (const auto& [left, right] : merges) {
    if (left.find(' ') != left.npos || right.find(' ') != right.npos)
      throw DataError(source.file + " merges `" + left + "` and `" + right +
                          "`; GGUF has no spelling for merges with spaces",
                      kOtherFormat);
    lines.push_back(left + ' ' + right);
  }
  metadata.values[gguf::kMerges] = std::move(lines);
}

void warn_about_lost_flags(const AddedToken& token, bool has_normalizer) {
  if (token.strips_left || token.strips_right || token.is_single_word ||
      (token.is_normalized && has_normalizer))
    core_log().warn("GGUF keeps no flags of added tokens; lost: how `" + token.content +
                    "` treats white space, word ends or normalization around it");
}

int64_t type_of_added(const AddedToken& token, const std::optional<std::string>& unknown) {
  if (token.content == unknown) return gguf::kUnknown;
  return token.is_special ? gguf::kControl : gguf::kUserDefined;
}

/// Tokens and their types by id, padded to `num_embeddings`.
void put_vocabulary(const Source& source, int64_t num_embeddings, GgufMetadata& metadata) {
  const int64_t size = source.parts->vocabulary_size;
  if (num_embeddings > 0 && num_embeddings < size)
    throw DataError(source.file + " has " + std::to_string(size) +
                        " tokens, but the embedding only " + std::to_string(num_embeddings) +
                        " rows",
                    "take tokenizer and weights from the same model");
  const bool has_bytes = source.model_field().flag_or("byte_fallback", false);
  std::vector<std::string> tokens(std::max(size, num_embeddings));
  std::vector<int64_t> types(tokens.size(), gguf::kNormal);
  const auto& spelled = source.parts->model.tokens();
  for (size_t id = 0; id < spelled.size(); ++id) {
    tokens[id] = spelled[id];
    const bool is_byte = has_bytes && tokens[id].size() == 6 && tokens[id].starts_with("<0x") &&
                         tokens[id].ends_with('>');
    if (is_byte) types[id] = gguf::kByte;
  }
  const auto unknown = source.unknown_token();
  for (const AddedToken& token : source.parts->added_tokens) {
    tokens[token.id] = token.content;
    types[token.id] = type_of_added(token, unknown);
    warn_about_lost_flags(token, source.parts->normalizer != nullptr);
  }
  for (size_t id = static_cast<size_t>(size); id < tokens.size(); ++id) {
    tokens[id] = "[PAD" + std::to_string(id) + "]";
    types[id] = gguf::kUnused;
  }
  metadata.values[gguf::kTokens] = std::move(tokens);
  metadata.values[gguf::kTokenTypes] = std::move(types);
}

void put_special_ids(const Source& source, GgufMetadata& metadata) {
  const auto put = [&](const char* key, std::optional<int32_t> id) {
    if (id) metadata.values[key] = static_cast<uint64_t>(*id);
  };
  const auto id_of = [&](const SpecialTokenNames::Part& part) {
    return part.token ? source.tokenizer.id_of(*part.token) : std::nullopt;
  };
  put(gguf::kBosId, source.tokenizer.bos());
  put(gguf::kEosId, source.tokenizer.eos());
  put(gguf::kUnkId, id_of(source.names.unk));
  put(gguf::kPadId, id_of(source.names.pad));
  if (const auto unknown = source.unknown_token())
    put(gguf::kUnkId, source.tokenizer.id_of(*unknown));
}

void put_post_processor(const Source& source, GgufMetadata& metadata) {
  const auto flag = [&](const std::vector<int32_t>& added, std::optional<int32_t> token,
                        const char* where) {
    if (added.empty()) return false;
    if (added.size() > 1 || added[0] != token)
      throw DataError(
          source.file + " puts more than the " + where + " token there, which GGUF cannot express",
          kOtherFormat);
    return true;
  };
  const PostProcessor& post = source.parts->post_processor;
  metadata.values[gguf::kAddBos] = flag(post.before, source.tokenizer.bos(), "BOS");
  metadata.values[gguf::kAddEos] = flag(post.behind, source.tokenizer.eos(), "EOS");
}

/// "section", "document", or nothing if no space is put in front. @throws DataError for other
/// arrangements
std::optional<std::string> space_prefix_scope(const Source& source) {
  const json normalizer = source.document.value("normalizer", json());
  const json pre_tokenizer = source.document.value("pre_tokenizer", json());
  const json to_mark = {
      {"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", gguf::kSpaceMark}};
  const json prepend = {{"type", "Prepend"}, {"prepend", gguf::kSpaceMark}};
  if (pre_tokenizer.is_null()) {
    if (normalizer == to_mark) return std::nullopt;
    if (normalizer == json{{"type", "Sequence"}, {"normalizers", json::array({prepend, to_mark})}})
      return "section";
  } else if (normalizer.is_null() && pre_tokenizer.value("type", "") == "Metaspace") {
    const auto options =
        read_metaspace_options(JsonField(pre_tokenizer, source.file, "pre_tokenizer"));
    const bool marks_spaces_only = options.replacement == gguf::kSpaceMark && !options.splits;
    if (marks_spaces_only && options.prepend == PrependScheme::kNever) return std::nullopt;
    if (marks_spaces_only && options.prepend == PrependScheme::kFirst) return "document";
  }
  throw DataError(source.file +
                      " is neither byte-level nor marks spaces as SentencePiece models do, so GGUF "
                      "has no kind for it",
                  kOtherFormat);
}

void put_sentencepiece(const Source& source, GgufMetadata& metadata) {
  const auto scope = space_prefix_scope(source);
  metadata.values[gguf::kAddSpacePrefix] = scope.has_value();
  if (scope) metadata.values[gguf::kSpacePrefixScope] = *scope;
  metadata.values[gguf::kPre] = std::string("default");
  MergeList merges = merges_of(source);
  const auto& tokens = metadata.texts(gguf::kTokens);
  std::vector<double> scores = scores_from_merges(tokens, merges);
  MergeList rebuilt = merges_from_scores(tokens, scores);
  metadata.values[gguf::kScores] = std::move(scores);
  if (rebuilt == merges) return;
  // Readers that know only scores see another order of merges, or even other merges.
  put_merges(source, merges, metadata);
  std::sort(rebuilt.begin(), rebuilt.end());
  std::sort(merges.begin(), merges.end());
  if (rebuilt != merges)
    core_log().warn(
        source.file +
        " does not list every merge that its vocabulary allows; readers of GGUF that go by scores, "
        "such as llama.cpp, will tokenize differently");
}

void put_chat_template(const Source& source, GgufMetadata& metadata) {
  if (const auto path = source.folder / "chat_template.jinja"; std::filesystem::exists(path)) {
    metadata.values[gguf::kChatTemplate] = read_text_file(path, kMaxTokenizerFileBytes);
    return;
  }
  const auto path = source.folder / "tokenizer_config.json";
  if (!std::filesystem::exists(path)) return;
  const json config = parse_json(read_text_file(path, kMaxTokenizerFileBytes), path.string());
  if (const auto found = config.find("chat_template"); found != config.end() && found->is_string())
    metadata.values[gguf::kChatTemplate] = found->get<std::string>();
}

}  // namespace

void add_tokenizer_metadata(const std::filesystem::path& folder, GgufMetadata& metadata,
                            int64_t num_embeddings) {
  const Source source(folder);
  put_vocabulary(source, num_embeddings, metadata);
  put_special_ids(source, metadata);
  put_post_processor(source, metadata);
  put_chat_template(source, metadata);
  if (is_byte_level(source.document.value("pre_tokenizer", json()))) {
    metadata.values[gguf::kModel] = std::string("gpt2");
    const std::string rule = split_rule_of(source.document, source.file).name;
    metadata.values[gguf::kPre] = rule;
    if (rule == "smollm") metadata.values[gguf::kOwnPre] = rule;  // see split_rule_in() of the import
    put_merges(source, merges_of(source), metadata);
  } else {
    metadata.values[gguf::kModel] = std::string("llama");
    put_sentencepiece(source, metadata);
  }
}

}  // namespace qtk::text
