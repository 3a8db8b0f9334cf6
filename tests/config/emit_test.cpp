#include "config/emit.hpp"

#include "config/document.hpp"
#include "config/fixture.hpp"
#include "config/scalar.hpp"

#include <qtk/options/option_set.hpp>

#include <gtest/gtest.h>

#include <limits>
#include <random>

namespace qtk::config {
namespace {

TEST(ToYaml, WritesBlocksShortListsAndEmptyCollections) {
  const Node root = parsed(
      "a: 1\nb: {c: [1, 2], d: {}, e: []}\nf:\n  - {x: 1, y: {z: 2}}\n  - [[1], 2]\ng: [{}]\n");

  EXPECT_EQ(to_yaml(root),
            "a: 1\n"
            "b:\n  c: [1, 2]\n  d: {}\n  e: []\n"
            "f:\n  - x: 1\n    y:\n      z: 2\n  - - [1]\n    - 2\n"
            "g:\n  - {}\n");
}

TEST(ToYaml, WritesLongListsOneElementALine) {
  Node root = Node::map();
  Node list = Node::sequence();
  for (int i = 0; i < 3; ++i)
    list.append(Node::scalar(std::string(30, static_cast<char>('a' + i))));
  root.append({"list", {}}, list);

  EXPECT_EQ(to_yaml(root), "list:\n  - " + std::string(30, 'a') + "\n  - " + std::string(30, 'b') +
                               "\n  - " + std::string(30, 'c') + "\n");
}

TEST(ToYaml, KeepsNumbersPlainAndTextsThatLookLikeThemQuoted) {
  EXPECT_EQ(to_yaml(parsed("a: 4\nb: '4'\nc: -1e-5\nd: 'word'\ne: true\nf: 'true'\ng: 10min\n")),
            "a: 4\nb: \"4\"\nc: -1e-5\nd: \"word\"\ne: true\nf: \"true\"\ng: 10min\n");
}

TEST(ToYaml, WritesUntypedWordsSoThatTheirUserCanReadThem) {
  const auto written = [](const char* text) {
    return to_yaml(Node::scalar(text, ScalarStyle::kUntyped));
  };

  EXPECT_EQ(written("12"), "12\n");
  EXPECT_EQ(written("true"), "true\n");
  EXPECT_EQ(written("10min"), "10min\n");
  EXPECT_EQ(written("yes"), "\"yes\"\n");
  EXPECT_EQ(written("null"), "\"null\"\n");
  EXPECT_EQ(written("a b"), "\"a b\"\n");
}

TEST(ToYaml, EscapesReferencesInTexts) {
  const std::string yaml = to_yaml(parsed("a: $${b}\n"));

  EXPECT_EQ(yaml, "a: \"$${b}\"\n");
  EXPECT_EQ(parsed(yaml).find("a")->text(), "${b}");
}

TEST(YamlText, QuotesEveryWordThatAReaderCouldTakeForSomethingElse) {
  for (const char* text : {"a", "model.layers.0", "a/b-c_d", "q8_0"})
    EXPECT_EQ(yaml_text(text), text);
  const std::pair<const char*, const char*> cases[] = {
      {"", "\"\""},          {"yes", "\"yes\""},          {"NULL", "\"NULL\""}, {"1", "\"1\""},
      {"-", "\"-\""},        {"a b", "\"a b\""},          {"a: b", "\"a: b\""}, {"#a", "\"#a\""},
      {"a,b", "\"a,b\""},    {"\"", "\"\\\"\""},          {"\\", "\"\\\\\""},   {"\n", "\"\\n\""},
      {"\x01", "\"\\x01\""}, {"\xc3\xa9", "\"\xc3\xa9\""}};
  for (const auto& [text, yaml] : cases) EXPECT_EQ(yaml_text(text), yaml);
}

/// Texts out of whatever means something to YAML.
std::string random_text(std::mt19937& random) {
  static const std::vector<std::string> parts = {"a",
                                                 "B",
                                                 "0",
                                                 "9",
                                                 ".",
                                                 "-",
                                                 "+",
                                                 "e",
                                                 " ",
                                                 ":",
                                                 ": ",
                                                 " #",
                                                 "#",
                                                 "\n",
                                                 "\t",
                                                 "'",
                                                 "\"",
                                                 "\\",
                                                 "[",
                                                 "]",
                                                 "{",
                                                 "}",
                                                 ",",
                                                 "&",
                                                 "*",
                                                 "!",
                                                 "|",
                                                 ">",
                                                 "%",
                                                 "@",
                                                 "`",
                                                 "~",
                                                 "null",
                                                 "true",
                                                 "yes",
                                                 "${",
                                                 "$",
                                                 "<<",
                                                 "?",
                                                 "---",
                                                 "\x01",
                                                 "\x7f",
                                                 "\xc3\xa9",
                                                 "\xe2\x82\xac",
                                                 "\xf0\x9f\x99\x82",
                                                 "="};
  std::string text;
  for (size_t n = random() % 6; n > 0; --n) text += parts[random() % parts.size()];
  return text;
}

Node random_node(std::mt19937& random, int depth) {
  const auto kind = depth == 0 ? 0 : random() % 4;
  if (kind == 1) {
    Node list = Node::sequence();
    for (size_t n = random() % 4; n > 0; --n) list.append(random_node(random, depth - 1));
    return list;
  }
  if (kind == 2) {
    Node map = Node::map();
    for (size_t n = random() % 4; n > 0; --n) {
      const std::string key = "k" + random_text(random);
      if (!map.find(key)) map.append({key, {}}, random_node(random, depth - 1));
    }
    return map;
  }
  const auto style = random() % 2 ? ScalarStyle::kQuoted : ScalarStyle::kPlain;
  return Node::scalar(random_text(random), style);
}

void expect_same(const Node& a, const Node& b, const std::string& yaml) {
  ASSERT_EQ(a.kind(), b.kind()) << yaml;
  ASSERT_EQ(a.text(), b.text()) << yaml;
  const bool was_quoted = a.is_scalar() && a.style() == ScalarStyle::kQuoted;
  ASSERT_TRUE(!was_quoted || b.style() == ScalarStyle::kQuoted) << yaml;
  EXPECT_EQ(read_real(a).value, read_real(b).value) << yaml;
  ASSERT_EQ(a.items().size(), b.items().size()) << yaml;
  EXPECT_TRUE(std::ranges::equal(a.keys(), b.keys(), {}, &Node::Key::text, &Node::Key::text))
      << yaml;
  for (size_t i = 0; i < a.items().size(); ++i) expect_same(a.items()[i], b.items()[i], yaml);
}

TEST(ToYaml, ReadsBackAsTheSameTree) {
  std::mt19937 random(1);
  for (int i = 0; i < 3000; ++i) {
    Node root = Node::map();
    root.append({"root", {}}, random_node(random, 4));

    const std::string yaml = to_yaml(root);

    expect_same(root, parsed(yaml), yaml);
    if (HasFatalFailure()) break;
  }
}

struct EmittedOptions {
  int bits = 4;
  double damp = 1;
  double limit = std::numeric_limits<double>::infinity();
  std::string rule = "absmax";
  std::string unset;
  std::vector<double> betas = {0.9, 1};
  std::vector<std::string> none;
  int old = 1;
  static void describe(OptionSet<EmittedOptions>& o) {
    o.field("bits", &EmittedOptions::bits).doc("A.");
    o.field("damp", &EmittedOptions::damp).doc("B.");
    o.field("limit", &EmittedOptions::limit).doc("C.");
    o.field("rule", &EmittedOptions::rule).doc("D.");
    o.field("unset", &EmittedOptions::unset).doc("E.");
    o.field("betas", &EmittedOptions::betas).doc("F.");
    o.field("none", &EmittedOptions::none).doc("G.");
    o.field("old", &EmittedOptions::old).deprecated("bits").doc("H.");
  }
};

TEST(OptionsNode, FillsInDefaultsButNotTheUnsetOnes) {
  const OptionTable table = option_table<EmittedOptions>();

  EXPECT_EQ(to_yaml(options_node(table, {{"rule", std::string("yes")}, {"damp", 1e-7}})),
            "bits: 4\ndamp: 1e-07\nrule: \"yes\"\nbetas: [0.9, 1.0]\n");
  EXPECT_EQ(
      to_yaml(options_node(table, {{"none", std::vector<std::string>{}}, {"old", int64_t{2}}})),
      "bits: 4\ndamp: 1.0\nrule: absmax\nbetas: [0.9, 1.0]\nnone: []\nold: 2\n");
}

}  // namespace
}  // namespace qtk::config
