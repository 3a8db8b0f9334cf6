#include "text/gguf_tokenizer.hpp"

#include "base/atomic_file.hpp"
#include "text/gguf_split_rules.hpp"
#include "text/tokenizer.hpp"
#include "text_fixtures.hpp"

namespace qtk::text {
namespace {

using format::GgufMetadata;
using nlohmann::json;
using testing::folder_with;
using testing::fresh_folder;
using testing::golden_tokenizer;
using testing::message_of;
using testing::read_golden;
using testing::read_text;
using testing::write_text;

using Texts = std::vector<std::string>;

GgufMetadata exported(const json& tokenizer, int64_t num_embeddings = 0) {
  GgufMetadata metadata;
  add_tokenizer_metadata(folder_with(tokenizer, "source"), metadata, num_embeddings);
  return metadata;
}

Tokenizer imported(const GgufMetadata& metadata) {
  const auto folder = fresh_folder("imported");
  write_tokenizer_files(metadata, folder);
  return Tokenizer::load(folder);
}

json metaspace(const char* scheme) {
  return {{"type", "Metaspace"},
          {"replacement", "\xe2\x96\x81"},
          {"prepend_scheme", scheme},
          {"split", false}};
}

/// A vocabulary of three letters in the "gpt2" kind.
GgufMetadata small_byte_level() {
  GgufMetadata metadata;
  metadata.values["tokenizer.ggml.model"] = std::string("gpt2");
  metadata.values["tokenizer.ggml.pre"] = std::string("gpt-2");
  metadata.values["tokenizer.ggml.tokens"] = Texts{"a", "b", "ab", "<|end|>", "<think>", "c d"};
  metadata.values["tokenizer.ggml.token_type"] = std::vector<int64_t>{1, 1, 1, 3, 4, 1};
  metadata.values["tokenizer.ggml.merges"] = Texts{"a b"};
  metadata.values["tokenizer.ggml.eos_token_id"] = uint64_t{3};
  return metadata;
}

GgufMetadata small_sentencepiece() {
  GgufMetadata metadata;
  metadata.values["tokenizer.ggml.model"] = std::string("llama");
  metadata.values["tokenizer.ggml.tokens"] = Texts{"<unk>",
                                                   "<s>",
                                                   "</s>",
                                                   "<0x0A>",
                                                   "\xe2\x96\x81"
                                                   "a",
                                                   "\xe2\x96\x81",
                                                   "a",
                                                   "aa"};
  metadata.values["tokenizer.ggml.token_type"] = std::vector<int64_t>{2, 3, 3, 6, 1, 1, 1, 1};
  metadata.values["tokenizer.ggml.scores"] = std::vector<double>{0, 0, 0, 0, -1, -2, -3, -0.5};
  metadata.values["tokenizer.ggml.bos_token_id"] = uint64_t{1};
  metadata.values["tokenizer.ggml.eos_token_id"] = uint64_t{2};
  metadata.values["tokenizer.ggml.unknown_token_id"] = uint64_t{0};
  return metadata;
}

using Ids = std::vector<int32_t>;

TEST(GgufTokenizer, ARoundTripTokenizesIdentically) {
  const auto texts = read_golden("hard_texts").get<Texts>();
  std::vector<std::pair<std::string, json>> tokenizers;
  for (const char* base : {"gpt2", "smollm2", "llama3", "qwen2", "llama2"})
    tokenizers.emplace_back(base, read_golden(base));
  for (const char* scheme : {"first", "never"})
    tokenizers.emplace_back(
        scheme, golden_tokenizer("llama2",
                                 {{"normalizer", nullptr}, {"pre_tokenizer", metaspace(scheme)}}));
  for (const auto& [name, content] : tokenizers) {
    const auto before = Tokenizer::load(folder_with(content, "before"));

    const auto after = imported(exported(content));

    EXPECT_EQ(after.vocabulary_size(), before.vocabulary_size());
    EXPECT_EQ(after.bos(), before.bos()) << name;
    EXPECT_EQ(after.eos(), before.eos()) << name;
    for (const auto& text : texts) {
      ASSERT_EQ(after.encode(text), before.encode(text)) << name << ": " << json(text);
      ASSERT_EQ(after.decode(after.encode(text)), before.decode(before.encode(text)))
          << name << ": " << json(text);
    }
  }
}

TEST(GgufTokenizer, ExportNamesTheSplitRuleAndTheFlags) {
  const auto llama3 = exported(read_golden("llama3"));
  EXPECT_EQ(llama3.text("tokenizer.ggml.model"), "gpt2");
  EXPECT_EQ(llama3.text("tokenizer.ggml.pre"), "llama-bpe");
  EXPECT_TRUE(llama3.flag_or("tokenizer.ggml.add_bos_token", false));
  EXPECT_EQ(llama3.texts("tokenizer.ggml.tokens")[521], "<|begin_of_text|>");
  EXPECT_EQ(llama3.integers("tokenizer.ggml.token_type")[521], 3);
  EXPECT_EQ(llama3.integer("tokenizer.ggml.bos_token_id"), 521);

  EXPECT_EQ(exported(read_golden("smollm2")).text("tokenizer.ggml.pre"), "smollm");
  EXPECT_EQ(exported(read_golden("qwen2")).text("tokenizer.ggml.pre"), "qwen2");

  const auto llama2 = exported(read_golden("llama2"));
  EXPECT_EQ(llama2.text("tokenizer.ggml.model"), "llama");
  EXPECT_TRUE(llama2.flag_or("tokenizer.ggml.add_space_prefix", false));
  EXPECT_FALSE(llama2.has("tokenizer.ggml.merges"));  // the scores say it all
  EXPECT_EQ(llama2.reals("tokenizer.ggml.scores").size(), 640u);
  EXPECT_EQ(llama2.integers("tokenizer.ggml.token_type")[0], 2);  // <unk>
  EXPECT_EQ(llama2.integers("tokenizer.ggml.token_type")[1], 3);  // <s>
  EXPECT_EQ(llama2.integers("tokenizer.ggml.token_type")[3], 6);  // <0x00>
}

TEST(GgufTokenizer, MergesThatScoresCannotExpressAreWrittenOut) {
  json tokenizer = read_golden("llama2");
  auto& merges = tokenizer["model"]["merges"];
  merges.erase(merges.size() /
               2);  // another way to make the same piece remains, or the piece is never made
  const auto texts = read_golden("hard_texts").get<Texts>();
  const auto before = Tokenizer::load(folder_with(tokenizer, "before"));

  const auto metadata = exported(tokenizer);
  const auto after = imported(metadata);

  EXPECT_TRUE(metadata.has("tokenizer.ggml.merges"));
  for (const auto& text : texts) ASSERT_EQ(after.encode(text), before.encode(text)) << json(text);
}

TEST(GgufTokenizer, ExportPadsTheVocabularyToTheEmbedding) {
  const auto metadata = exported(read_golden("gpt2"), 524);

  EXPECT_EQ(metadata.texts("tokenizer.ggml.tokens").size(), 524u);
  EXPECT_EQ(metadata.texts("tokenizer.ggml.tokens")[523], "[PAD523]");
  EXPECT_EQ(metadata.integers("tokenizer.ggml.token_type")[523], 5);
  EXPECT_EQ(imported(metadata).encode("text"),
            imported(exported(read_golden("gpt2"))).encode("text"));
  EXPECT_NE(message_of([] {
              exported(read_golden("gpt2"), 100);
            }).find("has 520 tokens, but the embedding only 100 rows"),
            std::string::npos);
}

TEST(GgufTokenizer, ExportTakesSpecialTokensAndTheChatTemplateFromTheFolder) {
  const auto folder = folder_with(read_golden("smollm2"));
  write_text(folder / "tokenizer_config.json",
             R"({"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "pad_token": "<|im_end|>",
                 "unk_token": "<|endoftext|>", "chat_template": "{{ old }}"})");
  GgufMetadata metadata;
  add_tokenizer_metadata(folder, metadata);
  EXPECT_EQ(metadata.text("tokenizer.chat_template"), "{{ old }}");
  EXPECT_EQ(metadata.integer("tokenizer.ggml.padding_token_id"), 2);
  EXPECT_EQ(metadata.integer("tokenizer.ggml.unknown_token_id"), 0);

  write_text(folder / "chat_template.jinja", "{{ new }}");
  add_tokenizer_metadata(folder, metadata);
  EXPECT_EQ(metadata.text("tokenizer.chat_template"), "{{ new }}");
}

TEST(GgufTokenizer, ExportRefusesWhatGgufCannotSay) {
  json other_split = read_golden("gpt2");
  other_split["pre_tokenizer"]["add_prefix_space"] = true;
  json composed = read_golden("gpt2");
  composed["normalizer"] = {{"type", "NFC"}};
  const json words =
      golden_tokenizer("llama2", {{"normalizer", nullptr}, {"pre_tokenizer", metaspace("always")}});
  json two = read_golden("llama2");
  two["post_processor"]["single"].insert(two["post_processor"]["single"].begin(),
                                         json{{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}});
  const std::pair<json, const char*> cases[] = {
      {other_split,
       "tokenizer.json splits text by a rule that GGUF has no name for (its names: gpt-2, default, "
       "smollm"},
      {composed, "splits text by a rule that GGUF has no name for"},
      {words, "tokenizer.json is neither byte-level nor marks spaces as SentencePiece models do"},
      {two, "tokenizer.json puts more than the BOS token there"},
  };
  for (const auto& [tokenizer, expected] : cases) {
    const std::string message = message_of([&, &t = tokenizer] { exported(t); });

    EXPECT_NE(message.find(expected), std::string::npos) << message;
  }
}

TEST(GgufTokenizer, ImportBuildsAByteLevelTokenizer) {
  const auto folder = fresh_folder();
  auto metadata = small_byte_level();
  metadata.values["tokenizer.chat_template"] = std::string("{{ x }}");

  write_tokenizer_files(metadata, folder);
  const auto tokenizer = Tokenizer::load(folder);

  EXPECT_EQ(tokenizer.encode("ab<|end|>a<think>"), (Ids{2, 3, 0, 4}));
  EXPECT_EQ(tokenizer.id_of("c\xc4\xa0"
                            "d"),
            5);  // stored as plain text, spelled in the byte alphabet
  EXPECT_EQ(tokenizer.eos(), 3);
  EXPECT_EQ(tokenizer.bos(), std::nullopt);
  const auto config = json::parse(read_text(folder / "tokenizer_config.json"));
  EXPECT_EQ(config["chat_template"], "{{ x }}");
  EXPECT_EQ(config["eos_token"], "<|end|>");
  EXPECT_TRUE(config["bos_token"].is_null());
  EXPECT_EQ(json::parse(read_text(folder / "generation_config.json")), (json{{"eos_token_id", 3}}));
  EXPECT_EQ(json::parse(read_text(folder / "special_tokens_map.json")),
            (json{{"eos_token", "<|end|>"}}));
}

TEST(GgufTokenizer, ImportRebuildsMergesFromScores) {
  const auto tokenizer = imported(small_sentencepiece());

  // "aa" scores higher than "_a", so it is merged first; BOS is added unless the file says
  // otherwise.
  EXPECT_EQ(tokenizer.encode("aa a\n"), (Ids{1, 5, 7, 4, 3}));
  EXPECT_EQ(tokenizer.decode(Ids{5, 7, 4, 3}), "aa a\n");

  auto plain = small_sentencepiece();
  plain.values["tokenizer.ggml.add_bos_token"] = false;
  plain.values["tokenizer.ggml.add_eos_token"] = true;
  plain.values["tokenizer.ggml.add_space_prefix"] = false;
  EXPECT_EQ(imported(plain).encode("aa a"), (Ids{7, 4, 2}));
}

TEST(GgufTokenizer, ASpaceIsPutBeforeEverySectionUnlessTheFileSaysOnlyTheDocument) {
  auto metadata = small_sentencepiece();
  EXPECT_EQ(imported(metadata).encode("a</s>a"), (Ids{1, 4, 2, 4}));

  metadata.values["qtk.tokenizer.space_prefix"] = std::string("document");
  EXPECT_EQ(imported(metadata).encode("a</s>a"), (Ids{1, 4, 2, 6}));
}

TEST(GgufTokenizer, SmollmFilesOfOthersAreReadAsTransformersReadsThem) {
  const auto pre_tokenizer_of = [](const GgufMetadata& metadata) {
    const auto folder = fresh_folder("imported");
    write_tokenizer_files(metadata, folder);
    return json::parse(read_text_file(folder / "tokenizer.json"))["pre_tokenizer"];
  };
  auto metadata = exported(read_golden("smollm2"));
  const auto ours = pre_tokenizer_of(metadata);
  metadata.values.erase("qtk.tokenizer.pre");
  const auto foreign = pre_tokenizer_of(metadata);

  EXPECT_EQ(ours["type"], "Sequence");  // digits one by one, then bytes
  EXPECT_EQ(foreign["type"], "ByteLevel");
}

TEST(GgufTokenizer, EveryRuleNameBuildsALoadableTokenizer) {
  for (const char* name : {"gpt-2", "default", "smollm", "starcoder", "refact", "llama-bpe",
                           "llama3", "llama-v3", "qwen2", "tekken"}) {
    auto metadata = small_byte_level();
    metadata.values["tokenizer.ggml.pre"] = std::string(name);

    EXPECT_EQ(imported(metadata).encode("ab"), (Ids{2})) << name;
  }
  auto old = small_byte_level();
  old.values.erase("tokenizer.ggml.pre");
  EXPECT_EQ(imported(old).encode("ab"), (Ids{2}));
}

TEST(GgufTokenizer, ImportNamesTheKeyThatIsMissingDamagedOrUnsupported) {
  const auto changed = [](GgufMetadata metadata, const char* key, const format::GgufValue& value) {
    metadata.values[key] = value;
    return metadata;
  };
  const auto without = [](GgufMetadata metadata, const char* key) {
    metadata.values.erase(key);
    return metadata;
  };
  const auto bytes = small_byte_level(), pieces = small_sentencepiece();
  const std::pair<GgufMetadata, const char*> cases[] = {
      {without(bytes, "tokenizer.ggml.model"), "tokenizer.ggml.model"},
      {changed(bytes, "tokenizer.ggml.model", std::string("bert")),
       "tokenizer.ggml.model is `bert`, expected gpt2 or llama"},
      {changed(bytes, "tokenizer.ggml.pre", std::string("falcon")),
       "tokenizer.ggml.pre is `falcon`, expected one of gpt-2, default, smollm, starcoder, refact, "
       "llama-bpe"},
      {without(bytes, "tokenizer.ggml.tokens"), "tokenizer.ggml.tokens"},
      {without(bytes, "tokenizer.ggml.merges"), "tokenizer.ggml.merges"},
      {changed(bytes, "tokenizer.ggml.tokens", Texts{}), "tokenizer.ggml.tokens is empty"},
      {changed(bytes, "tokenizer.ggml.tokens", Texts{"a", "b", "ab", "a", "x", "y"}),
       "tokenizer.ggml.tokens holds `a` twice, the second time as token 3"},
      {changed(bytes, "tokenizer.ggml.tokens",
               Texts{"a", "b", "c d", "x", "y",
                     "c\xc4\xa0"
                     "d"}),
       "holds `c\xc4\xa0"
       "d` in two spellings, the second as token 5"},
      {changed(bytes, "tokenizer.ggml.tokens", Texts{"a", "b", "\xff", "x", "y", "z"}),
       "token 2 of tokenizer.ggml.tokens is not valid UTF-8"},
      {changed(bytes, "tokenizer.ggml.tokens",
               Texts{std::string(5000, 'x'), "b", "c", "d", "e", "f"}),
       "has 5000 bytes, expected at most 4096"},
      {changed(bytes, "tokenizer.ggml.token_type", std::vector<int64_t>{1}),
       "tokenizer.ggml.token_type has 1 elements, expected one for each of 6 tokens"},
      {changed(bytes, "tokenizer.ggml.merges", Texts{"a b", "ab"}),
       "tokenizer.ggml.merges is damaged at position 1"},
      {changed(bytes, "tokenizer.ggml.eos_token_id", uint64_t{6}),
       "tokenizer.ggml.eos_token_id is 6, but there are only 6 tokens"},
      {changed(bytes, "tokenizer.ggml.add_bos_token", true),
       "tokenizer.ggml.add_bos_token is set, but tokenizer.ggml.bos_token_id is missing"},
      {without(pieces, "tokenizer.ggml.scores"), "tokenizer.ggml.scores"},
      {changed(pieces, "tokenizer.ggml.scores", std::vector<double>{1}),
       "tokenizer.ggml.scores has 1 elements, expected one for each of 8"},
      {changed(pieces, "qtk.tokenizer.space_prefix", std::string("word")),
       "is `word`, expected section or document"},
      {changed(pieces, "general.architecture", std::string("gemma2")),
       "general.architecture is `gemma2`"},
  };
  for (const auto& [metadata, expected] : cases) {
    const std::string message = message_of([&, &m = metadata] { imported(m); });

    EXPECT_NE(message.find(expected), std::string::npos) << message;
  }
}

TEST(GgufTokenizer, SpecialTokenIdsAreWhatTheFileSays) {
  const auto ids = special_token_ids(small_sentencepiece());

  EXPECT_EQ(ids.bos, 1);
  EXPECT_EQ(ids.eos, 2);
  EXPECT_EQ(ids.unk, 0);
  EXPECT_EQ(ids.pad, std::nullopt);
}

TEST(SplitRule, IsRecognisedHoweverItIsWritten) {
  const json model = {{"model", json::object()}};
  const auto name_of = [&](const json& pre_tokenizer) {
    json tokenizer = model;
    tokenizer["pre_tokenizer"] = pre_tokenizer;
    return std::string(split_rule_of(tokenizer, "t.json").name);
  };
  const json bytes = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", false}};
  const json digits = {{"type", "Digits"}, {"individual_digits", true}};

  EXPECT_EQ(name_of(bytes), "gpt-2");
  EXPECT_EQ(name_of({{"type", "Sequence"}, {"pretokenizers", json::array({bytes})}}), "gpt-2");
  EXPECT_EQ(name_of({{"type", "Sequence"}, {"pretokenizers", json::array({digits, bytes})}}),
            "smollm");
}

}  // namespace
}  // namespace qtk::text
