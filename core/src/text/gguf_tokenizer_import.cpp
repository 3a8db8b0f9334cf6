// From GGUF metadata to the tokenizer files of a Hugging Face folder.
#include "base/atomic_file.hpp"
#include "text/byte_level.hpp"
#include "text/gguf_split_rules.hpp"
#include "text/gguf_tokenizer.hpp"
#include "text/gguf_vocabulary.hpp"

#include <qtk/runtime/error.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>

namespace qtk::text {
namespace {

using format::GgufMetadata;
using nlohmann::json;

bool is_special(int64_t type) { return type == gguf::kControl || type == gguf::kUnknown; }

json added_tokens(const gguf::Vocabulary& vocabulary) {
  json added = json::array();
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    const int64_t type = vocabulary.types[id];
    if (!is_special(type) && type != gguf::kUserDefined) continue;
    if (vocabulary.tokens[id].empty()) continue;
    added.push_back({{"id", id},
                     {"content", vocabulary.tokens[id]},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", is_special(type)}});
  }
  return added;
}

json bpe_model(const std::vector<std::string>& tokens, const MergeList& merges) {
  json vocabulary = json::object();
  for (size_t id = 0; id < tokens.size(); ++id) {
    if (!vocabulary.emplace(tokens[id], id).second)
      throw DataError(std::string(gguf::kTokens) + " holds `" + tokens[id] +
                          "` in two spellings, the second as token " + std::to_string(id),
                      gguf::kFetchAgain);
  }
  json pairs = json::array();
  for (const auto& [left, right] : merges) pairs.push_back({left, right});
  return {{"type", "BPE"},
          {"dropout", nullptr},
          {"unk_token", nullptr},
          {"continuing_subword_prefix", nullptr},
          {"end_of_word_suffix", nullptr},
          {"fuse_unk", false},
          {"byte_fallback", false},
          {"ignore_merges", false},
          {"vocab", std::move(vocabulary)},
          {"merges", std::move(pairs)}};
}

/// What the post-processor puts around a text; null if nothing.
json text_template(const GgufMetadata& metadata, const gguf::Vocabulary& vocabulary,
                   bool adds_bos_by_default) {
  const SpecialTokenIds ids = special_token_ids(metadata);
  json single = json::array(), special = json::object();
  const auto append = [&](const char* flag, const char* key, bool missing,
                          std::optional<int32_t> id) {
    if (!metadata.flag_or(flag, missing && id.has_value())) return;
    if (!id)
      throw DataError(std::string(flag) + " is set, but " + key + " is missing", gguf::kFetchAgain);
    const std::string& token = vocabulary.tokens[*id];
    single.push_back({{"SpecialToken", {{"id", token}, {"type_id", 0}}}});
    special[token] = {{"id", token}, {"ids", {*id}}, {"tokens", {token}}};
  };
  append(gguf::kAddBos, gguf::kBosId, adds_bos_by_default, ids.bos);
  single.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
  append(gguf::kAddEos, gguf::kEosId, false, ids.eos);
  if (single.size() == 1) return nullptr;
  json pair = single;
  pair.push_back({{"Sequence", {{"id", "B"}, {"type_id", 1}}}});
  return {{"type", "TemplateProcessing"},
          {"single", single},
          {"pair", pair},
          {"special_tokens", special}};
}

json tokenizer_with(json added, json model) {
  return {{"version", "1.0"},          {"truncation", nullptr},
          {"padding", nullptr},        {"added_tokens", std::move(added)},
          {"normalizer", nullptr},     {"pre_tokenizer", nullptr},
          {"post_processor", nullptr}, {"decoder", nullptr},
          {"model", std::move(model)}};
}

/// For files that say "smollm", llama.cpp splits off every digit; transformers knows no such rule and does not. Ids
/// follow transformers, unless qtk wrote the file from a tokenizer that does split them off.
const SplitRule& split_rule_in(const GgufMetadata& metadata) {
  if (metadata.has(gguf::kOwnPre)) return split_rule(metadata.text(gguf::kOwnPre));
  const std::string name = metadata.has(gguf::kPre) ? metadata.text(gguf::kPre) : "default";
  return split_rule(name == "smollm" ? "gpt-2" : name);
}

json byte_level_tokenizer(const GgufMetadata& metadata, const gguf::Vocabulary& vocabulary) {
  const SplitRule& rule = split_rule_in(metadata);
  std::vector<std::string> tokens = vocabulary.tokens;
  for (size_t id = 0; id < tokens.size(); ++id) {
    // Some converters store ordinary tokens as plain text.
    std::string bytes;
    if (vocabulary.types[id] != gguf::kNormal || append_bytes_of(tokens[id], bytes)) continue;
    tokens[id].clear();
    append_byte_level(vocabulary.tokens[id], tokens[id]);
  }
  json result =
      tokenizer_with(added_tokens(vocabulary), bpe_model(tokens, gguf::read_merges(metadata)));
  result["model"]["ignore_merges"] = rule.ignores_merges;
  if (rule.composes) result["normalizer"] = {{"type", "NFC"}};
  result["pre_tokenizer"] = rule.pre_tokenizer();
  const json bytes = {{"type", "ByteLevel"},
                      {"add_prefix_space", false},
                      {"trim_offsets", true},
                      {"use_regex", true}};
  result["decoder"] = bytes;
  result["post_processor"] = text_template(metadata, vocabulary, rule.adds_bos);
  return result;
}

/// How a space gets in front of a text: a normalizer that works on every section, or a
/// pre-tokenizer that knows where the document begins.
void set_space_prefix(const GgufMetadata& metadata, json& tokenizer) {
  const json to_mark = {
      {"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", gguf::kSpaceMark}};
  if (!metadata.flag_or(gguf::kAddSpacePrefix, true)) {
    tokenizer["normalizer"] = to_mark;
    return;
  }
  const std::string scope =
      metadata.has(gguf::kSpacePrefixScope) ? metadata.text(gguf::kSpacePrefixScope) : "section";
  if (scope == "section") {
    const json prepend = {{"type", "Prepend"}, {"prepend", gguf::kSpaceMark}};
    tokenizer["normalizer"] = {{"type", "Sequence"}, {"normalizers", {prepend, to_mark}}};
  } else if (scope == "document") {
    tokenizer["pre_tokenizer"] = {{"type", "Metaspace"},
                                  {"replacement", gguf::kSpaceMark},
                                  {"prepend_scheme", "first"},
                                  {"split", false}};
  } else {
    throw DataError(
        std::string(gguf::kSpacePrefixScope) + " is `" + scope + "`, expected section or document",
        gguf::kFetchAgain);
  }
}

json sentencepiece_decoder(bool strips_prefix) {
  json steps = json::array(
      {{{"type", "Replace"}, {"pattern", {{"String", gguf::kSpaceMark}}}, {"content", " "}},
       {{"type", "ByteFallback"}},
       {{"type", "Fuse"}}});
  if (strips_prefix)
    steps.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  return {{"type", "Sequence"}, {"decoders", std::move(steps)}};
}

json sentencepiece_tokenizer(const GgufMetadata& metadata, const gguf::Vocabulary& vocabulary) {
  if (metadata.has("general.architecture") &&
      metadata.text("general.architecture").starts_with("gemma"))
    throw DataError("general.architecture is `" + metadata.text("general.architecture") +
                        "`, whose vocabulary does not rank merges by score",
                    "import from the model's Hugging Face folder");
  json result = tokenizer_with(
      added_tokens(vocabulary),
      bpe_model(vocabulary.tokens, gguf::read_or_rebuild_merges(metadata, vocabulary)));
  json& model = result["model"];
  const auto& types = vocabulary.types;
  model["byte_fallback"] = std::find(types.begin(), types.end(), gguf::kByte) != types.end();
  model["fuse_unk"] = true;
  if (const auto unk = special_token_ids(metadata).unk)
    model["unk_token"] = vocabulary.tokens[*unk];
  set_space_prefix(metadata, result);
  result["decoder"] = sentencepiece_decoder(metadata.flag_or(gguf::kAddSpacePrefix, true));
  result["post_processor"] = text_template(metadata, vocabulary, true);
  return result;
}

void write_json(const std::filesystem::path& path, const json& content) {
  write_file_atomically(path, content.dump(2, ' ', false) + "\n");
}

void write_special_tokens(const GgufMetadata& metadata, const gguf::Vocabulary& vocabulary,
                          const std::filesystem::path& folder) {
  const SpecialTokenIds ids = special_token_ids(metadata);
  // The class that takes tokenizer.json as it is; others build their own rules around the
  // vocabulary.
  json config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                 {"clean_up_tokenization_spaces", false}};
  json names = json::object(), generation = json::object();
  const auto put = [&](const std::string& part, std::optional<int32_t> id) {
    config[part + "_token"] = id ? json(vocabulary.tokens[*id]) : json();
    if (id) names[part + "_token"] = vocabulary.tokens[*id];
    if (id && part != "unk") generation[part + "_token_id"] = *id;
  };
  put("bos", ids.bos);
  put("eos", ids.eos);
  put("unk", ids.unk);
  put("pad", ids.pad);
  if (metadata.has(gguf::kChatTemplate))
    config["chat_template"] = metadata.text(gguf::kChatTemplate);
  write_json(folder / "tokenizer_config.json", config);
  write_json(folder / "special_tokens_map.json", names);
  write_json(folder / "generation_config.json", generation);
}

}  // namespace

void write_tokenizer_files(const GgufMetadata& metadata, const std::filesystem::path& folder) {
  const std::string& model = metadata.text(gguf::kModel);
  if (model != "gpt2" && model != "llama")
    throw DataError(std::string(gguf::kModel) + " is `" + model + "`, expected gpt2 or llama",
                    "import from the model's Hugging Face folder");
  const gguf::Vocabulary vocabulary = gguf::read_vocabulary(metadata);
  const json tokenizer = model == "gpt2" ? byte_level_tokenizer(metadata, vocabulary)
                                         : sentencepiece_tokenizer(metadata, vocabulary);
  write_json(folder / "tokenizer.json", tokenizer);
  write_special_tokens(metadata, vocabulary, folder);
}

}  // namespace qtk::text
