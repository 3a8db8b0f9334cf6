#include "text/tokenizer.hpp"

#include "text_fixtures.hpp"

#include <qtk/runtime/random.hpp>

#include <thread>

namespace qtk::text {
namespace {

using nlohmann::json;
using testing::folder_with;
using testing::golden_tokenizer;
using testing::message_of;
using testing::read_golden;
using testing::write_text;

// Every id and every decoded text that the `tokenizers` package gives for hard texts
// (tests/golden/make_text_golden.py).
TEST(Tokenizer, EncodesAndDecodesAsTheTokenizersPackageDoes) {
  const json golden = read_golden("golden");
  const auto texts = golden["texts"].get<std::vector<std::string>>();
  for (const json& entry : golden["cases"]) {
    const std::string name = entry["name"];
    const auto tokenizer =
        Tokenizer::load(folder_with(golden_tokenizer(entry["base"], entry["patch"]), name));
    for (size_t i = 0; i < texts.size(); ++i) {
      const json& decoded = entry["decoded"][i];
      const auto plain = tokenizer.encode(texts[i], SpecialTokens::kOmit);

      EXPECT_EQ(tokenizer.encode(texts[i]), entry["ids"][i].get<std::vector<int32_t>>())
          << name << ", text " << i << ": " << json(texts[i]);
      EXPECT_EQ(tokenizer.decode(plain), decoded.is_null() ? texts[i] : decoded.get<std::string>())
          << name << ", text " << i << ": " << json(texts[i]);
    }
  }
  EXPECT_GE(golden["cases"].size(), 35u);
}

TEST(Tokenizer, AByteLevelVocabularyBringsEveryTextBack) {
  const auto tokenizer = Tokenizer::load(folder_with(read_golden("gpt2")));
  RandomStream random({.seed = 5, .purpose = "test"});
  const auto texts = read_golden("hard_texts").get<std::vector<std::string>>();
  for (int round = 0; round < 300; ++round) {
    std::string text;
    for (int i = 0; i < 5; ++i) text += texts[random.below(texts.size())];

    EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
  }
}

TEST(Tokenizer, InvalidUtf8BecomesReplacementCharacters) {
  const auto tokenizer = Tokenizer::load(folder_with(read_golden("gpt2")));

  EXPECT_EQ(tokenizer.encode("a\xff\xe4\xb8 b"), tokenizer.encode("a\xef\xbf\xbd\xef\xbf\xbd b"));
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("\x80")), "\xef\xbf\xbd");
}

TEST(Tokenizer, ALongTextWithoutSpacesTakesNoLongerThanItsLength) {
  const auto tokenizer = Tokenizer::load(folder_with(read_golden("llama2")));

  EXPECT_GT(tokenizer.encode(std::string(1 << 20, 'a')).size(),
            1000u);  // quadratic time would not return
}

TEST(Tokenizer, ThreadsShareIt) {
  const auto tokenizer = Tokenizer::load(folder_with(read_golden("llama3")));
  const auto texts = read_golden("hard_texts").get<std::vector<std::string>>();
  std::vector<std::vector<int32_t>> expected;
  for (const auto& text : texts) expected.push_back(tokenizer.encode(text));
  std::vector<int> differences(4, 0);
  std::vector<std::thread> threads;

  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      for (size_t i = 0; i < texts.size(); ++i)
        differences[thread] += tokenizer.encode(texts[i]) != expected[i];
    });
  }
  for (auto& thread : threads) thread.join();

  EXPECT_EQ(differences, std::vector<int>(4, 0));
}

TEST(Tokenizer, SpecialTokensAreAddedOnRequest) {
  const auto tokenizer = Tokenizer::load(folder_with(read_golden("llama3")));
  const auto bos = tokenizer.id_of("<|begin_of_text|>");
  auto plain = tokenizer.encode("text", SpecialTokens::kOmit);

  EXPECT_TRUE(tokenizer.adds_bos());
  EXPECT_EQ(tokenizer.bos(), bos);
  EXPECT_EQ(tokenizer.eos(), tokenizer.id_of("<|end_of_text|>"));
  plain.insert(plain.begin(), *bos);
  EXPECT_EQ(tokenizer.encode("text"), plain);
  EXPECT_FALSE(Tokenizer::load(folder_with(read_golden("gpt2"))).adds_bos());
}

TEST(Tokenizer, TokenizerConfigSaysWhichTokensBeginAndEndATextBeforeTheUsualNamesDo) {
  const auto folder = folder_with(read_golden("smollm2"));
  const auto ids = [&] {
    const auto tokenizer = Tokenizer::load(folder);
    return std::pair(tokenizer.bos(), tokenizer.eos());
  };
  using Ids = std::pair<std::optional<int32_t>, std::optional<int32_t>>;

  EXPECT_EQ(ids(), Ids(0, 0));  // "<|endoftext|>"

  write_text(folder / "special_tokens_map.json",
             R"({"bos_token": {"content": "<|im_start|>", "lstrip": false}})");
  EXPECT_EQ(ids(), Ids(1, 0));

  write_text(folder / "tokenizer_config.json", R"({"bos_token": null, "eos_token": "<|im_end|>"})");
  EXPECT_EQ(ids(), Ids(std::nullopt, 2));

  write_text(folder / "tokenizer_config.json", R"({"eos_token": "</end>"})");
  EXPECT_NE(
      message_of(ids).find(
          "tokenizer_config.json names `</end>` as eos_token, which is not in tokenizer.json"),
      std::string::npos);
}

TEST(Tokenizer, TheFingerprintIsOfTheFile) {
  json content = read_golden("gpt2");
  const auto first = Tokenizer::load(folder_with(content, "a"));
  const auto same = Tokenizer::load(folder_with(content, "b") / "tokenizer.json");
  content["added_tokens"][0]["lstrip"] = true;
  const auto other = Tokenizer::load(folder_with(content, "c"));

  EXPECT_EQ(first.fingerprint(), same.fingerprint());
  EXPECT_NE(first.fingerprint(), other.fingerprint());
  EXPECT_EQ(first.fingerprint().size(), 32u);
}

TEST(Tokenizer, CountsIdsWithTheAddedTokens) {
  const auto tokenizer = Tokenizer::load(folder_with(read_golden("qwen2")));

  EXPECT_EQ(tokenizer.vocabulary_size(), 523);
  EXPECT_EQ(tokenizer.id_of("<|im_end|>"), 522);
  EXPECT_EQ(tokenizer.id_of("no such token"), std::nullopt);
  EXPECT_EQ(tokenizer.decode(std::vector<int32_t>{522, -1, 523, 1 << 30}), "<|im_end|>");
}

TEST(Tokenizer, TruncationAndPaddingOfTheFileDoNotApply) {
  json content = read_golden("gpt2");
  const auto free = Tokenizer::load(folder_with(content, "free"));
  content["truncation"] = {
      {"max_length", 2}, {"strategy", "LongestFirst"}, {"stride", 0}, {"direction", "Right"}};
  content["padding"] = {{"strategy", {{"Fixed", 8}}}, {"pad_id", 0}};
  const auto bound = Tokenizer::load(folder_with(content, "bound"));

  EXPECT_EQ(bound.encode("a much longer text"), free.encode("a much longer text"));
  EXPECT_EQ(bound.encode("a"), free.encode("a"));
}

}  // namespace
}  // namespace qtk::text
