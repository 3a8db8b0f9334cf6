#include "text/pattern.hpp"

#include "text/oniguruma.hpp"
#include "text_fixtures.hpp"

namespace qtk::text {
namespace {

using testing::Field;
using testing::message_of;

std::vector<std::string> matches_of(const std::string& expression, const std::string& text) {
  const Field field("{}");
  const Pattern pattern = Pattern::regex(expression, *field);
  std::vector<std::string> found;
  Matches matches(pattern, text);
  while (const auto match = matches.next())
    found.push_back(text.substr(match->begin, match->size()));
  return found;
}

using Found = std::vector<std::string>;

TEST(Oniguruma, WhiteSpaceLeavesOutTheMongolianVowelSeparator) {
  EXPECT_EQ(matches_of(R"(\s)", "a\xe1\xa0\x8e b\xc2\xa0"), (Found{" ", "\xc2\xa0"}));
  EXPECT_EQ(matches_of(R"([^\s]+)", "a\xe1\xa0\x8e b"), (Found{"a\xe1\xa0\x8e", "b"}));
  EXPECT_EQ(matches_of(R"(\S+)", "ab c"), (Found{"ab", "c"}));
}

TEST(Oniguruma, WordCharactersIncludeMarksAndTheSuperscriptsOfLatin1) {
  const std::string text =
      "e\xcc\x81_9 \xc2\xb2\xc2\xbd \xe2\x91\xa0";  // combining acute; superscript, half; circled 1

  EXPECT_EQ(matches_of(R"(\w+)", text), (Found{"e\xcc\x81_9", "\xc2\xb2\xc2\xbd"}));
  EXPECT_EQ(matches_of(R"([\w]+)", text), (Found{"e\xcc\x81_9", "\xc2\xb2\xc2\xbd"}));
  EXPECT_EQ(matches_of(R"(\W+)", text), (Found{" ", " \xe2\x91\xa0"}));
}

TEST(Oniguruma, ABareScriptNameIsTheScriptWithoutItsExtensions) {
  // U+3001 is used with Han but belongs to no script.
  EXPECT_EQ(matches_of(R"(\p{Han}+)", "\xe4\xb8\xad\xe3\x80\x81\xe6\x96\x87"),
            (Found{"\xe4\xb8\xad", "\xe6\x96\x87"}));
  EXPECT_EQ(matches_of(R"(\p{^Han}+)", "a\xe4\xb8\xad"), (Found{"a"}));
}

TEST(Oniguruma, AnchorsWorkOnLines) {
  EXPECT_EQ(matches_of("^a", "a\na a"), (Found{"a", "a"}));
  EXPECT_EQ(matches_of("a$", "a\nb a"), (Found{"a", "a"}));
}

TEST(Oniguruma, EscapesWithAnotherMeaningAreRefused) {
  const Field field("{}");
  const std::pair<const char*, const char*> cases[] = {
      {R"(\h)", "`field` uses `\\h`"},
      {R"(\bword)", "uses `\\b`"},
      {R"((a)\1)", "uses `\\1`"},
      {R"([a&&b])", "uses `&&`"},
      {R"([a[b]])", "uses `[`"},
      {R"(a{1,2}+)", "uses `}+`"},
      {R"([\W])", "uses `\\W`"},
      {R"(\pL)", "uses `\\p`"},
      {"a\\", "ends in a single backslash"},
      {R"([[:alpha)", "uses `[:`"},
  };
  for (const auto& [expression, expected] : cases) {
    const std::string message = message_of([&] { pcre2_from_oniguruma(expression, *field); });

    EXPECT_NE(message.find(expected), std::string::npos) << message;
  }
}

TEST(Oniguruma, WhatMeansTheSameStaysAsItIs) {
  const Field field("{}");
  for (const char* same :
       {R"((?i:'s|'t)|[^\r\n\p{L}]?\p{L}+)", R"([]a]+\.\-)", R"(\p{N}{1,3}|\p{Lu}+\x{41}x++)",
        R"([[:punct:]])", R"(\p{White_Space})"})
    EXPECT_EQ(pcre2_from_oniguruma(same, *field), same);
  EXPECT_EQ(pcre2_from_oniguruma(R"(\u00e9)", *field), R"(\x{00e9})");
}

TEST(Matches, AnEmptyMatchDirectlyBehindAnotherIsSkipped) {
  EXPECT_EQ(matches_of("x*", "axxb"), (Found{"", "xx", ""}));
}

TEST(Pattern, ALiteralIsNotAnExpression) {
  const Field field(R"({"String": "a.b"})");
  const Pattern pattern = Pattern::read(*field);

  EXPECT_EQ(pattern.find("aXb a.b", 0), (Range{4, 7}));
  EXPECT_EQ(pattern.find("aXb", 0), std::nullopt);
  EXPECT_EQ(replace_matches(pattern, "a.ba.b!", "-"), "--!");
}

TEST(Pattern, RefusesWhatDoesNotCompile) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"Regex": "a(b"})",
       "t.json: `field.Regex` does not compile as a regular expression: missing closing "
       "parenthesis"},
      {R"({"Regex": "\\p{Klingon}"})", "does not compile"},
      {R"({"String": ""})", "`field.String` is empty"},
      {R"({"Glob": "*"})", "has an unknown member `Glob` (known: String, Regex)"},
      {R"({})", "has no member `Regex`"},
      {R"({"Regex": 3})", "`field.Regex` is not a string"},
  };
  for (const auto& [content, expected] : cases) {
    const Field field(content);
    const std::string message = message_of([&] { Pattern::read(*field); });

    EXPECT_NE(message.find(expected), std::string::npos) << message;
  }
}

TEST(Pattern, AnExpressionThatExplodesOnATextIsAnErrorAndNotAHang) {
  const Field field("{}");
  const Pattern pattern = Pattern::regex("(a+)+[b-d]", *field);

  const std::string message = message_of([&] { pattern.find(std::string(10000, 'a'), 0); });

  EXPECT_NE(message.find("the tokenizer's expression `(a+)+[b-d]` fails on a text of 10000 bytes"),
            std::string::npos)
      << message;
}

}  // namespace
}  // namespace qtk::text
