#include "text/bpe_model.hpp"

#include "text_fixtures.hpp"

#include <random>

namespace qtk::text {
namespace {

using nlohmann::json;
using testing::Field;
using testing::message_of;

std::vector<int32_t> encoded(const BpeModel& model, const std::string& word) {
  WordCache cache;
  std::vector<int32_t> ids;
  model.encode(word, cache, ids);
  return ids;
}

BpeModel model_of(const json& content) {
  const Field field(content.dump());
  return BpeModel::read(*field);
}

using Ids = std::vector<int32_t>;

const json kAbc = {{"type", "BPE"},
                   {"vocab", {{"a", 0}, {"b", 1}, {"c", 2}, {"ab", 3}, {"abc", 4}, {"<unk>", 5}}},
                   {"merges", {"a b", "ab c"}}};

json abc_with(const json& patch) {
  json content = kAbc;
  content.merge_patch(patch);
  return content;
}

TEST(BpeModel, MergesInTheOrderOfTheList) {
  EXPECT_EQ(encoded(model_of(kAbc), "abcab"), (Ids{4, 3}));
  EXPECT_EQ(
      encoded(model_of(abc_with({{"merges", json::array({json::array({"a", "b"})})}})), "abc"),
      (Ids{3, 2}));
}

TEST(BpeModel, UnknownCharactersAreDroppedFusedOrRepeated) {
  EXPECT_EQ(encoded(model_of(kAbc), "axxb"), (Ids{3}));  // dropped, so that a and b are neighbours
  EXPECT_EQ(encoded(model_of(abc_with({{"unk_token", "<unk>"}})), "axxb"), (Ids{0, 5, 5, 1}));
  EXPECT_EQ(encoded(model_of(abc_with({{"unk_token", "<unk>"}, {"fuse_unk", true}})), "axxbx"),
            (Ids{0, 5, 1, 5}));
}

TEST(BpeModel, FallsBackToBytesOnlyIfAllAreThere) {
  const json bytes = {
      {"byte_fallback", true}, {"unk_token", "<unk>"}, {"vocab", {{"<0xC3>", 6}, {"<0xA9>", 7}}}};

  EXPECT_EQ(encoded(model_of(abc_with(bytes)), "a\xc3\xa9"), (Ids{0, 6, 7}));
  EXPECT_EQ(encoded(model_of(abc_with(bytes)), "\xc3\xa8"), (Ids{5}));
}

TEST(BpeModel, IgnoringMergesFindsWholeWordsFirst) {
  const json whole = {{"vocab", {{"cab", 6}}}, {"ignore_merges", true}};

  EXPECT_EQ(encoded(model_of(abc_with(whole)), "cab"), (Ids{6}));
  EXPECT_EQ(encoded(model_of(abc_with(whole)), "cabc"), (Ids{2, 4}));
  EXPECT_EQ(encoded(model_of(abc_with({{"vocab", {{"cab", 6}}}})), "cab"), (Ids{2, 3}));
}

// Texts are cut where no merge can reach across; with a merge of byte tokens they are not. Both
// must agree.
TEST(BpeModel, CuttingALongTextChangesNothing) {
  std::mt19937 random(7);
  const auto pick = [&](const auto& list) { return list[random() % list.size()]; };
  const std::vector<std::string> letters = {"a", "b", "c", "\xc3\xa9", "_"};
  for (int round = 0; round < 200; ++round) {
    json content = {
        {"type", "BPE"}, {"byte_fallback", true}, {"vocab", {{"<0x01>", 0}, {"<0x01><0x01>", 1}}}};
    std::vector<std::string> tokens(letters.begin(), letters.begin() + 2 + round % 4);
    json merges = json::array();
    for (const auto& token : tokens) content["vocab"].emplace(token, content["vocab"].size());
    for (int i = 0; i < 12; ++i) {
      const std::string left = pick(tokens), right = pick(tokens);
      merges.push_back({left, right});
      tokens.push_back(left + right);
      content["vocab"].emplace(left + right, content["vocab"].size());
    }
    content["merges"] = merges;
    const BpeModel cut = model_of(content);
    content["merges"].push_back({"<0x01>", "<0x01>"});
    const BpeModel whole = model_of(content);
    std::string text;
    for (int i = 0; i < 200; ++i) text += pick(letters);

    ASSERT_EQ(encoded(cut, text), encoded(whole, text)) << content;
  }
}

TEST(BpeModel, TheCacheChangesNothing) {
  const BpeModel model = model_of(kAbc);
  WordCache cache;
  Ids first, second;

  model.encode("abcabab", cache, first);
  model.encode("abcabab", cache, second);

  EXPECT_EQ(first, (Ids{4, 3, 3}));
  EXPECT_EQ(second, first);
}

TEST(BpeModel, RefusesWhatItDoesNotImplementAndWhatIsDamaged) {
  const std::pair<json, const char*> cases[] = {
      {abc_with({{"type", "Unigram"}}),
       "t.json: `field.type` is `Unigram`, which qtk does not implement (known: BPE)"},
      {abc_with({{"dropout", 0.1}}), "`field.dropout` is 0.1, expected null"},
      {abc_with({{"continuing_subword_prefix", "##"}}),
       "`field.continuing_subword_prefix` is `##`"},
      {abc_with({{"end_of_word_suffix", "</w>"}}), "`field.end_of_word_suffix` is `</w>`"},
      {abc_with({{"magic", 1}}), "has an unknown member `magic`"},
      {abc_with({{"vocab", nullptr}}), "`field` has no member `vocab`"},
      {abc_with({{"merges", nullptr}}), "`field` has no member `merges`"},
      {abc_with({{"merges", {"a b", "x c"}}}),
       "`field.merges` holds \"x c\" at position 1, but `x` is not in the vocabulary"},
      {abc_with({{"merges", {"b c"}}}),
       "holds \"b c\" at position 0, but `bc` is not in the vocabulary"},
      {abc_with({{"merges", {"a b c"}}}),
       "holds \"a b c\" at position 0, expected two tokens and one space"},
      {abc_with({{"merges", {"ab"}}}), "expected two tokens and one space"},
      {abc_with({{"merges", json::array({json::array({"a"})})}}),
       "holds [\"a\"] at position 0, expected two strings"},
      {abc_with({{"merges", json::array({1})}}),
       "holds 1 at position 0, expected a string or a pair of strings"},
      {abc_with({{"merges", "a b"}}), "`field.merges` is not an array"},
      {abc_with({{"vocab", {{"z", 3}}}}), "`field.vocab` gives the id 3 to both `ab` and `z`"},
      {abc_with({{"vocab", {{"z", -1}}}}),
       "gives `z` the id -1, expected an integer in [0, 8388607]"},
      {abc_with({{"vocab", {{"z", 4000000000u}}}}), "gives `z` the id 4000000000"},
      {abc_with({{"vocab", {{"z", "9"}}}}), "gives `z` the id \"9\""},
      {abc_with({{"unk_token", "<x>"}}),
       "`field.unk_token` is `<x>`, which is not in the vocabulary"},
      {json{{"type", "BPE"}, {"vocab", json::object()}, {"merges", json::array()}},
       "`field.vocab` is not an object with tokens"},
  };
  for (const auto& [content, expected] : cases) {
    const std::string message = message_of([&, &c = content] { model_of(c); });

    EXPECT_NE(message.find(expected), std::string::npos) << message;
  }
}

TEST(WordCache, HoldsManyWordsAndLeavesLongOnesOut) {
  WordCache cache;
  const auto word = [](int i) { return "w" + std::to_string(i); };
  for (int i = 0; i < 5000; ++i) {
    const Ids ids = {i, i + 1};
    cache.insert(word(i), ids);
  }
  cache.insert(std::string(100, 'x'), Ids{1});

  for (int i = 0; i < 5000; ++i) {
    const auto found = cache.find(word(i));
    ASSERT_EQ(Ids(found.begin(), found.end()), (Ids{i, i + 1}));
  }
  EXPECT_TRUE(cache.find("w5000").empty());
  EXPECT_TRUE(cache.find(std::string(100, 'x')).empty());
}

}  // namespace
}  // namespace qtk::text
