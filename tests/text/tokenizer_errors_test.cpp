// What a damaged or unsupported tokenizer.json is refused with. Faults of single components: in the
// tests of those.
#include "text/gguf_tokenizer.hpp"
#include "text/tokenizer.hpp"
#include "text_fixtures.hpp"

#include <qtk/runtime/random.hpp>

namespace qtk::text {
namespace {

using nlohmann::json;
using testing::folder_with;
using testing::fresh_folder;
using testing::message_of;
using testing::read_golden;
using testing::write_text;

std::string load_message(const std::string& content) {
  const auto folder = fresh_folder();
  write_text(folder / "tokenizer.json", content);
  const std::string message = message_of([&] { Tokenizer::load(folder); });
  EXPECT_NE(message.find((folder / "tokenizer.json").string()), std::string::npos) << message;
  return message;
}

TEST(TokenizerErrors, AreOneSentenceThatNamesFileAndField) {
  json gpt2 = read_golden("gpt2");
  const auto with = [&](const char* pointer, const json& value) {
    json changed = gpt2;
    changed[json::json_pointer(pointer)] = value;
    return changed.dump();
  };
  const json token = {{"content", "<x>"}, {"special", true}};
  const auto added = [&](int id, const char* content = "<x>") {
    json changed = gpt2;
    changed["added_tokens"].push_back({{"id", id}, {"content", content}, {"special", true}});
    return changed.dump();
  };
  json without_model = gpt2;
  without_model.erase("model");
  const std::pair<std::string, const char*> cases[] = {
      {"", "is not JSON: "},
      {"not JSON", "is not JSON: parse error at line 1, column 2"},
      {"{\"model\": \xff}", "is not JSON: "},
      {"[]", ": the top level is not an object"},
      {"{}", ": the top level has no member `model`"},
      {without_model.dump(), ": the top level has no member `model`"},
      {std::string(100000, '['), "is nested 100000 levels deep, expected at most 64"},
      {with("/model/type", "WordLevel"),
       "`model.type` is `WordLevel`, which qtk does not implement (known: BPE)"},
      {with("/pre_tokenizer/type", "UnicodeScripts"), "`pre_tokenizer.type` is `UnicodeScripts`"},
      {with("/normalizer", {{"type", "StripAccents"}}), "`normalizer.type` is `StripAccents`"},
      {with("/decoder", {{"type", "CTC"}}), "`decoder.type` is `CTC`"},
      {with("/post_processor", {{"type", "RobertaProcessing"}}),
       "`post_processor.type` is `RobertaProcessing`"},
      {with("/encoder", 1), ": the top level has an unknown member `encoder`"},
      {with("/model/merges/3", "a zzz"),
       "`model.merges` holds \"a zzz\" at position 3, but `zzz` is not in the vocabulary"},
      {with("/model/vocab/!", 5), "`model.vocab` gives the id 5 to both"},
      {with("/model/vocab/new", 521),
       "`model` has no token for the id 520, although ids go up to 521"},
      {added(521), "`model` has no token for the id 520"},
      {added(5), "`added_tokens` gives `<x>` the id 5, which belongs to `"},
      {added(520, "a"),
       "`added_tokens` gives `a` the id 520, but the vocabulary of the model gives it"},
      {added(520, "<|endoftext|>"),
       "`added_tokens` gives `<|endoftext|>` the id 520, but holds that token twice"},
      {added(20000000), "`added_tokens` gives `<x>` the id 20000000, expected at most 16777215"},
      {with(
           "/post_processor",
           json::parse(
               R"({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x"}}, {"Sequence": {"id": "A"}}],
                            "special_tokens": {"x": {"ids": [600]}}})")),
       "`post_processor` adds the id 600, but the vocabulary has only 520"},
  };
  for (const auto& [content, expected] : cases) {
    const std::string message = load_message(content);

    EXPECT_NE(message.find(expected), std::string::npos) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  }
}

/// Another value in the place of one that is chosen at random, walking down from the top.
void damage(json& value, RandomStream& random) {
  if (value.is_structured() && !value.empty() && random.below(8) != 0) {
    auto member = value.begin();
    std::advance(member, static_cast<int64_t>(random.below(value.size())));
    if (random.below(16) == 0) {
      value.erase(member);
    } else {
      damage(*member, random);
    }
    return;
  }
  const json others[] = {
      nullptr,           true, -1, 1.5, 4000000000, "", "x y", json::array(), json::object(),
      {{"type", "Fuse"}}};
  value = others[random.below(std::size(others))];
}

TEST(TokenizerErrors, NoDamageLeadsToAnotherEndThanAWorkingTokenizerOrADataError) {
  RandomStream random({.seed = 11, .purpose = "test"});
  int refused = 0, rounds = 0;
  for (const char* base : {"gpt2", "smollm2", "llama3", "qwen2", "llama2"}) {
    const json whole = read_golden(base);
    for (int round = 0; round < 60; ++round, ++rounds) {
      json damaged = whole;
      damage(damaged, random);
      const auto folder = folder_with(damaged);
      try {
        const auto tokenizer = Tokenizer::load(folder);
        tokenizer.decode(tokenizer.encode("some text 123 \xc3\xa9 <|endoftext|>"));
        format::GgufMetadata metadata;
        add_tokenizer_metadata(folder, metadata);
        if (round % 8 == 0) write_tokenizer_files(metadata, fresh_folder("again"));
      } catch (const DataError&) {
        ++refused;
      }
    }
  }
  EXPECT_GT(refused, rounds / 4);
  EXPECT_LT(refused, rounds);
}

TEST(TokenizerErrors, CutAndFlippedBytesAreRefusedOrHarmless) {
  RandomStream random({.seed = 12, .purpose = "test"});
  const std::string whole = read_golden("gpt2").dump();
  const auto folder = fresh_folder();
  for (int round = 0; round < 200; ++round) {
    std::string content = whole;
    const bool is_cut = round % 2 == 0;
    if (is_cut) content.resize(random.below(content.size()));
    if (!is_cut) content[random.below(content.size())] = static_cast<char>(random.below(256));
    write_text(folder / "tokenizer.json", content);
    try {
      Tokenizer::load(folder);
      EXPECT_FALSE(is_cut) << "accepted after " << content.size() << " bytes";
    } catch (const DataError&) {
    }
  }
}

TEST(TokenizerErrors, AMissingFileIsNamed) {
  const auto folder = fresh_folder();

  EXPECT_NE(message_of([&] {
              Tokenizer::load(folder);
            }).find((folder / "tokenizer.json").string() + ": no such file"),
            std::string::npos);
}

TEST(TokenizerErrors, ADamagedTokenizerConfigIsNamed) {
  const auto folder = folder_with(read_golden("gpt2"));
  const std::pair<const char*, const char*> cases[] = {
      {"{", "tokenizer_config.json is not JSON"},
      {"[]", "tokenizer_config.json: the top level is not an object"},
      {R"({"bos_token": 5})", "tokenizer_config.json: `bos_token` is not a string"},
      {R"({"bos_token": {"text": "x"}})",
       "tokenizer_config.json: `bos_token` has no member `content`"},
  };
  for (const auto& [content, expected] : cases) {
    write_text(folder / "tokenizer_config.json", content);

    const std::string message = message_of([&] { Tokenizer::load(folder); });

    EXPECT_NE(message.find(expected), std::string::npos) << message;
  }
}

}  // namespace
}  // namespace qtk::text
