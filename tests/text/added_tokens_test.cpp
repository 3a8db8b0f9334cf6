#include "text/added_tokens.hpp"

#include "text_fixtures.hpp"

namespace qtk::text {
namespace {

using testing::Field;
using testing::message_of;

/// "a|<3>|b": parts of the text, tokens as their ids.
std::string split_at(const std::vector<AddedToken>& tokens, const std::string& text,
                     const Normalizer* normalizer = nullptr) {
  std::string joined;
  for (const auto& [range, id] : AddedTokenMatcher(tokens, normalizer).split(text)) {
    if (!joined.empty()) joined += '|';
    joined += id ? "<" + std::to_string(*id) + ">" : text.substr(range.begin, range.size());
  }
  return joined;
}

AddedToken token(int32_t id, const std::string& content) { return {.id = id, .content = content}; }

TEST(AddedTokenMatcher, TheLeftmostWinsAndOfThoseTheLongest) {
  const std::vector<AddedToken> tokens = {token(1, "ab"), token(2, "abcd"), token(3, "bc")};

  EXPECT_EQ(split_at(tokens, "xabcde"), "x|<2>|e");
  EXPECT_EQ(split_at(tokens, "abcx"), "<1>|cx");
  EXPECT_EQ(split_at(tokens, "abab"), "<1>|<1>");
  EXPECT_EQ(split_at(tokens, "bbc"), "b|<3>");
  EXPECT_EQ(split_at(tokens, ""), "");
  EXPECT_EQ(split_at({}, "abc"), "abc");
}

TEST(AddedTokenMatcher, StrippingTakesWhiteSpaceAlong) {
  AddedToken left = token(1, "<l>"), both = token(2, "<b>");
  left.strips_left = both.strips_left = both.strips_right = true;

  EXPECT_EQ(split_at({left, both}, "a \t<l> b"), "a|<1>| b");
  EXPECT_EQ(split_at({left, both}, "a\xe2\x80\x83<b>\n c"), "a|<2>|c");
  EXPECT_EQ(split_at({left, both}, "<b>  <l>"), "<2>|<1>");
}

TEST(AddedTokenMatcher, ASingleWordMustNotTouchAWord) {
  AddedToken word = token(1, "cat");
  word.is_single_word = true;

  EXPECT_EQ(split_at({word}, "cat, cats cat\xc3\xa9 _cat (cat)"),
            "<1>|, cats cat\xc3\xa9 _cat (|<1>|)");
}

TEST(AddedTokenMatcher, NormalizedTokensAreLookedForInNormalizedForm) {
  const Field field(R"({"type": "NFC"})");
  const auto normalizer = read_normalizer(*field);

  EXPECT_EQ(split_at({token(1, "e\xcc\x81")}, "x\xc3\xa9", normalizer.get()), "x|<1>");
}

TEST(AddedTokens, FlagsAreReadAndChecked) {
  const Field field(
      R"([{"id": 7, "content": "<x>", "single_word": true, "lstrip": true, "rstrip": true,
                         "normalized": true, "special": true}, {"id": 8, "content": "y", "special": false}])");
  const auto tokens = read_added_tokens(*field);

  EXPECT_EQ(tokens[0].id, 7);
  EXPECT_TRUE(tokens[0].is_single_word && tokens[0].strips_left && tokens[0].strips_right);
  EXPECT_TRUE(tokens[0].is_normalized && tokens[0].is_special);
  EXPECT_TRUE(tokens[1].is_normalized && !tokens[1].is_special && !tokens[1].strips_left);

  const std::pair<const char*, const char*> cases[] = {
      {R"([{"content": "x"}])", "`field[0]` has no member `id`"},
      {R"([{"id": -1, "content": "x"}])",
       "`field[0].id` is -1, expected an integer in [0, 2147483647]"},
      {R"([{"id": 1.5, "content": "x"}])", "`field[0].id` is 1.5"},
      {R"([{"id": 1, "content": ""}])", "`field[0].content` is empty"},
      {R"([{"id": 1, "content": "x", "color": 1}])", "has an unknown member `color`"},
      {R"({"id": 1})", "`field` is not an array"},
  };
  for (const auto& [json, expected] : cases) {
    const Field bad(json);
    const std::string message = message_of([&] { read_added_tokens(*bad); });

    EXPECT_NE(message.find(expected), std::string::npos) << message;
  }
}

}  // namespace
}  // namespace qtk::text
