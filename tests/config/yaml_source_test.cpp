#include "config/yaml_source.hpp"

#include "config/yaml_guard.hpp"

#include <gtest/gtest.h>

#include <ctime>

namespace qtk::config {
namespace {

std::optional<Node> parse(const std::string& text, Diagnostics& diagnostics) {
  return parse_yaml(text, {.file = "x.yaml"}, diagnostics);
}

Node parse_valid(const std::string& text) {
  Diagnostics diagnostics;
  const auto node = parse(text, diagnostics);
  EXPECT_TRUE(diagnostics.ok()) << diagnostics.text();
  return node.value_or(Node());
}

std::string repeat(const std::string& text, int times) {
  std::string repeated;
  for (int i = 0; i < times; ++i) repeated += text;
  return repeated;
}

TEST(ParseYaml, KeepsTheOrderTheStyleAndThePlaceOfEverything) {
  const Node root = parse_valid("b: 4\na:\n  - \"4\"\n  - x: {y: \xc3\xa9, z: null}\n");

  ASSERT_EQ(root.keys().size(), 2u);
  EXPECT_EQ(root.keys()[0].text, "b");
  EXPECT_EQ(root.keys()[1].mark, (SourceMark{"x.yaml", 2, 1}));
  EXPECT_EQ(root.find("b")->style(), ScalarStyle::kPlain);
  EXPECT_EQ(root.find("b")->mark(), (SourceMark{"x.yaml", 1, 4}));
  const Node& list = *root.find("a");
  EXPECT_EQ(list.items()[0].style(), ScalarStyle::kQuoted);
  EXPECT_EQ(list.items()[0].text(), "4");
  const Node& inner = *list.items()[1].find("x");
  EXPECT_EQ(inner.find("y")->mark(), (SourceMark{"x.yaml", 4, 12}));
  // After the two bytes of one character the column still counts characters.
  EXPECT_EQ(inner.keys()[1].mark, (SourceMark{"x.yaml", 4, 15}));
  EXPECT_TRUE(inner.find("z")->is_null());
}

TEST(ParseYaml, AcceptsCommentsBlockScalarsAliasesCrlfAndAByteOrderMark) {
  const Node root = parse_valid(
      "\xef\xbb\xbf# note\r\nbase: &b {x: 1}\r\nother: *b\r\ntext: |\r\n  [[[\t{{{ 'x\r\n  "
      "two\r\n");

  EXPECT_EQ(root.find("other")->find("x")->text(), "1");
  EXPECT_EQ(root.find("other")->find("x")->mark(), (SourceMark{"x.yaml", 2, 14}));
  EXPECT_EQ(root.find("text")->text(), "[[[\t{{{ 'x\ntwo\n");
}

TEST(ParseYaml, GivesANullNodeForNothing) {
  for (const char* text : {"", "\n\n", "# only a comment\n", "---\n"})
    EXPECT_TRUE(parse_valid(text).is_null()) << text;
}

TEST(ParseYaml, ReportsTheFirstLineOfAnOverrideFromItsOffset) {
  Diagnostics diagnostics;

  const auto node =
      parse_yaml("{a: 1}", {.file = "--set x={a: 1}", .first_column = 3}, diagnostics);

  EXPECT_EQ(node->find("a")->mark(), (SourceMark{"--set x={a: 1}", 1, 7}));
}

struct Refused {
  std::string text;
  std::string message;  // first line
  int line;
  int column;
};

void PrintTo(const Refused& refused, std::ostream* out) {
  *out << testing::PrintToString(refused.text);
}

class RefusedYaml : public testing::TestWithParam<Refused> {};

TEST_P(RefusedYaml, IsReportedAtItsPlace) {
  Diagnostics diagnostics;

  parse(GetParam().text, diagnostics);

  ASSERT_EQ(diagnostics.errors().size(), 1u) << diagnostics.text();
  const Problem problem = diagnostics.errors()[0];
  EXPECT_EQ(problem.message, GetParam().message);
  EXPECT_EQ(problem.mark, (SourceMark{"x.yaml", GetParam().line, GetParam().column}));
  EXPECT_FALSE(problem.remedy.empty());
}

INSTANTIATE_TEST_SUITE_P(
    Each, RefusedYaml,
    testing::Values(
        Refused{"a: 1\nb: 2\na: 3\n", "duplicate key `a`, first written at x.yaml:1:1", 3, 1},
        Refused{"a: {x: 1, 'x': 2}\n", "duplicate key `x`, first written at x.yaml:1:5", 1, 11},
        Refused{"a: &a {x: 1}\nb:\n  <<: *a\n", "merge keys `<<` are not supported", 3, 3},
        Refused{"a: !tag 1\n", "tags such as `!name` are not supported", 1, 4},
        Refused{"a: !!python/object {x: 1}\n", "tags such as `!name` are not supported", 1, 4},
        Refused{"a: !!int \"1\"\n", "tags such as `!name` are not supported", 1, 4},
        Refused{"? [a, b]\n: 1\n", "a key that is not a name", 1, 3},
        Refused{"null: 1\n", "a key that is not a name", 1, 1},
        Refused{"a: &x [1, *x]\n", "an alias that stands inside what it refers to", 1, 11},
        Refused{"a: 1\n---\nb: 2\n", "text after the end of the document", 2, 1},
        Refused{"a: [1, 2\nb: 3\n", "not valid YAML: end of sequence flow not found", 2, 2},
        Refused{"a: *nowhere\n", "not valid YAML: the referenced anchor is not defined", 1, 4},
        Refused{"a: b: c\n", "not valid YAML: illegal map value", 1, 5},
        Refused{"a:\n\tb: 1\n", "a tab indents this line, but YAML is indented with spaces", 2, 1},
        Refused{"a:\n  \tb: 1\n", "a tab indents this line, but YAML is indented with spaces", 2,
                3},
        Refused{std::string("a: \0b", 5), "a control character (code 0)", 1, 4},
        Refused{"a: \x1b[0m\n", "a control character (code 27)", 1, 4},
        Refused{"a: \"x\\0y\"\n", "a text with a zero byte", 1, 4},
        Refused{"a: \"x\\_y\"\n", "an escape that is not UTF-8", 1, 4},
        Refused{"a: \xff\n", "bytes that are not UTF-8", 1, 4},
        Refused{"a: \xc0\x80\n", "bytes that are not UTF-8", 1, 4},
        Refused{"a: \xed\xa0\x80\n", "bytes that are not UTF-8", 1, 4},
        Refused{"a: \xe2\x82", "bytes that are not UTF-8", 1, 4},
        Refused{"a: \xef\xbb\xbf"
                "b\n",
                "a byte order mark inside the text", 1, 4},
        Refused{std::string("\xff\xfe"
                            "a\0:\0",
                            6),
                "the text is UTF-16, expected UTF-8", 1, 1}));

TEST(ParseYaml, ReportsAllFaultsThatLeaveTheRestReadable) {
  Diagnostics diagnostics;

  const auto node = parse("a: 1\na: 2\nb: !t 3\nc: {<<: 4, d: 5}\n", diagnostics);

  EXPECT_EQ(diagnostics.errors().size(), 3u);
  EXPECT_EQ(node->find("a")->text(), "1");
  EXPECT_EQ(node->find("c")->find("d")->text(), "5");
}

TEST(ParseYaml, ReportsADuplicateBehindAnAnchorOnce) {
  Diagnostics diagnostics;

  parse("a: &a {x: 1, x: 2}\nb: *a\nc: *a\n", diagnostics);

  EXPECT_EQ(diagnostics.errors().size(), 1u);
}

std::string nested(const std::string& open, const std::string& close, int depth) {
  return "a: " + repeat(open, depth) + repeat(close, depth) + "\n";
}

TEST(ParseYaml, AcceptsAsManyLevelsAndValuesAsTheLimitsAllow) {
  parse_valid(nested("[", "]", YamlLimits::kDepth - 1));
  parse_valid(nested("{x: ", "}", YamlLimits::kDepth - 1));
  parse_valid("a: [" + repeat("1,", YamlLimits::kNodes - 3) + "]");
  parse_valid(repeat("- 1\n", YamlLimits::kNodes - 1));
  parse_valid("a: &a " + repeat("[", 30) + repeat("]", 30) + "\nb: " + repeat("[", 33) + "*a" +
              repeat("]", 33));
}

/// Ten levels of ten aliases each: 10^10 values in a few hundred bytes.
std::string alias_bomb() {
  std::string text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int level = 1; level < 10; ++level) {
    const std::string alias = "*a" + std::to_string(level - 1);
    text += "a" + std::to_string(level) + ": &a" + std::to_string(level) + " [" +
            repeat(alias + ", ", 9) + alias + "]\n";
  }
  return text;
}

std::string staircase(int depth) {
  std::string text;
  for (int i = 0; i < depth; ++i) text += std::string(static_cast<size_t>(i), ' ') + "a:\n";
  return text;
}

/// Of this process, so that a busy machine does not count.
double milliseconds_since(std::clock_t start) {
  return 1000.0 * static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

TEST(ParseYaml, RejectsBombsWithinATenthOfASecond) {
  constexpr int kMany = 1'000'000;
  const std::string deep_alias = "a: &a " + repeat("[", 40) + repeat("]", 40) +
                                 "\nb: " + repeat("[", 40) + "*a" + repeat("]", 40);
  const std::vector<std::pair<std::string, std::string>> bombs = {
      {alias_bomb(), "more than 100000 values"},
      {repeat("[", kMany), "nested deeper than 64 levels"},
      {"--- " + repeat("[", kMany), "nested deeper than 64 levels"},
      {"\"a\" " + repeat("[", kMany), "nested deeper than 64 levels"},
      {repeat("{a: ", kMany / 4), "nested deeper than 64 levels"},
      {"a: " + repeat("[\n", kMany / 2), "nested deeper than 64 levels"},
      {repeat("- ", kMany / 2), "nested deeper than 64 levels"},
      {repeat("? ", kMany / 2), "nested deeper than 64 levels"},
      {staircase(1000), "nested deeper than 64 levels"},
      {nested("[", "]", YamlLimits::kDepth), "nested deeper than 64 levels"},
      {deep_alias, "nested deeper than 64 levels"},
      {"[" + repeat("a,", kMany / 2) + "]", "more than 100000 values"},
      {repeat("- a\n", kMany / 4), "more than 100000 values"},
      {repeat("a: b\n", kMany / 5), "more than 100000 values"},
      {"{" + repeat("\"a\":b,", kMany / 6) + "}", "more than 100000 values"},
      {std::string(100'000'000, 'a'), "a text of 100000000 bytes, expected at most 1048576"},
  };
  for (const auto& [text, message] : bombs) {
    Diagnostics diagnostics;
    const std::clock_t start = std::clock();

    const auto node = parse(text, diagnostics);

    const double taken_ms = milliseconds_since(start);
    EXPECT_FALSE(node.has_value()) << text.substr(0, 40);
    ASSERT_EQ(diagnostics.errors().size(), 1u) << text.substr(0, 40);
    EXPECT_EQ(diagnostics.errors()[0].message, message) << text.substr(0, 40);
    EXPECT_LT(taken_ms, 100) << text.substr(0, 40);
  }
}

TEST(ParseYaml, TakesLittleTimeOnHostileTextsOfTheLargestSize) {
  const int size = YamlLimits::kBytes;
  const std::vector<std::string> texts = {
      repeat("a", size),
      "a: " + repeat(" ", size - 4),
      repeat("\n", size),
      "a: \"" + repeat("\\n", size / 2 - 4) + "\"",
      repeat("#\n", size / 2),
      "a: |\n" + repeat(" a\n", size / 3 - 3),
      repeat(":", size),
      repeat("'", size),
      repeat("&a ", size / 3),
      repeat("!a ", size / 3),
      repeat("%a\n", size / 3),
      repeat("a\n", size / 2),
      repeat("- - - - \n", size / 9),
      "[" + repeat("\n", size - 1),
      repeat("? a\n", size / 4),
      repeat("- |\n", size / 4),
      "a: '" + repeat("''", size / 2 - 4) + "'",
      repeat("...\n", size / 4),
      repeat("]", size),
      repeat("*a ", size / 3),
  };
  for (const std::string& text : texts) {
    Diagnostics diagnostics;
    const std::clock_t start = std::clock();

    parse(text, diagnostics);

    EXPECT_LT(milliseconds_since(start), 1000) << text.substr(0, 20);
  }
}

TEST(ParseYaml, CutsAHugeKeyInItsMessage) {
  const std::string key = repeat("k", 100'000);
  Diagnostics diagnostics;

  parse(key + ": 1\n" + key + ": 2\n", diagnostics);

  EXPECT_LT(diagnostics.text().size(), 2000u);
}

}  // namespace
}  // namespace qtk::config
