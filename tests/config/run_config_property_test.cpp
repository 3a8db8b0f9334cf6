// Properties of every key of a configuration: misspelt it is found, with any bad value it is
// refused.
#include "config/emit.hpp"
#include "config/fixture.hpp"
#include "config/options.hpp"
#include "config/section.hpp"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace qtk::config {
namespace {

/// A table, and the path of a section of kSample that it describes.
struct Place {
  SectionTable table;
  std::string path;
};

void collect(const SectionTable& table, const std::string& path, const Node& root,
             std::vector<Place>& places) {
  places.push_back({table, path});
  for (const ChildSpec& child : table.children) {
    if (!child.table) continue;
    const std::string child_at = child_path(path, child.name);
    const Node* node = find_path(root, child_at);
    if (!node) continue;
    if (child.shape == ChildSpec::Shape::kSection)
      collect(child.table(), child_at, root, places);
    else
      for (size_t i = 0; i < node->items().size(); ++i)
        collect(child.table(), child_path(child_at, i), root, places);
  }
}

std::vector<Place> all_places() {
  std::vector<Place> places;
  collect(section_table<RunConfig>(), "", read_run(kSample).document.root, places);
  return places;
}

/// Neighbours swapped and each letter dropped.
std::vector<std::string> misspellings(const std::string& key) {
  std::vector<std::string> words;
  for (size_t i = 0; i < key.size(); ++i) {
    if (key.size() > 2) words.push_back(key.substr(0, i) + key.substr(i + 1));
    if (i + 1 < key.size() && key[i] != key[i + 1]) {
      std::string swapped = key;
      std::swap(swapped[i], swapped[i + 1]);
      words.push_back(swapped);
    }
  }
  return words;
}

/// The tree with one key renamed.
Node renamed(const Node& node, const std::string& path, const std::string& key,
             const std::string& word, const std::string& at = "") {
  Node copy = node.is_map() ? Node::map(node.mark()) : Node::sequence(node.mark());
  if (!node.is_map() && !node.is_sequence()) return node;
  for (size_t i = 0; i < node.items().size(); ++i) {
    const std::string child_at =
        node.is_map() ? child_path(at, node.keys()[i].text) : child_path(at, i);
    Node item = renamed(node.items()[i], path, key, word, child_at);
    if (!node.is_map()) {
      copy.append(std::move(item));
      continue;
    }
    Node::Key name = node.keys()[i];
    if (at == path && name.text == key) name.text = word;
    copy.append(name, std::move(item));
  }
  return copy;
}

/// As near to another key.
const std::set<std::string> kAmbiguous = {"eport", "erport", "tdype", "dype"};

TEST(EveryKey, MisspeltIsFoundWithItsPlaceAndTheRightName) {
  const Node root = read_run(kSample).document.root;
  int tried = 0;
  for (const Place& place : all_places()) {
    const std::vector<std::string> known = place.table.keys();
    for (const std::string& key : known) {
      const Node* parent = find_path(root, place.path);
      if (!parent->find(key)) continue;
      for (const std::string& word : misspellings(key)) {
        if (std::ranges::find(known, word) != known.end()) continue;  // dtype -> type
        Document document;
        document.root = renamed(root, place.path, key, word);
        Diagnostics diagnostics;

        read_run_config(document, diagnostics);

        const std::string path = child_path(place.path, word);
        const auto errors = diagnostics.errors();
        const auto problem = std::ranges::find(errors, path, &Problem::path);
        ASSERT_NE(problem, errors.end()) << path << "\n" << diagnostics.text();
        EXPECT_TRUE(contains(problem->message, "unknown key `" + word + "`")) << path;
        const std::string suggestion =
            "did you mean `" + (kAmbiguous.contains(word) ? "" : key + "`?");
        EXPECT_TRUE(contains(problem->remedy, suggestion)) << path << ": " << problem->remedy;
        EXPECT_GT(problem->mark.line, 0);
        ++tried;
      }
    }
  }
  EXPECT_GT(tried, 400);
}

std::string number_past(double bound, double step) {
  return option_value_text(static_cast<int64_t>(bound + step));
}

/// Spellings that no option of the type may take, and values outside its bounds.
std::vector<std::string> bad_values(const OptionSpec& spec, bool takes_one) {
  std::vector<std::string> bad = {"null", "", "{}", "{a: 1}"};
  const auto add = [&](std::initializer_list<const char*> values) {
    bad.insert(bad.end(), values.begin(), values.end());
  };
  const bool is_list = spec.type == OptionType::kIntList || spec.type == OptionType::kRealList ||
                       spec.type == OptionType::kTextList;
  switch (spec.type) {
    case OptionType::kBool:
      add({"yes", "no", "on", "off", "True", "1", "0", "\"true\"", "word", "[true]"});
      break;
    case OptionType::kInt:
      add({"word", "1.0", "1e3", "010", "\"4\"", "true", "[1]", "0x10", "1_000",
           "99999999999999999999", "1.5", "10min", "-0.0"});
      break;
    case OptionType::kReal:
      add({"word", "\"1.0\"", "true", ".nan", ".inf", "[1.0]", "1e999", "01.5"});
      break;
    case OptionType::kText:
      add({"yes", "no", "On", "off", "true", "False", "[word]"});
      break;
    case OptionType::kTextList:
      add({"[yes]", "[[a]]", "[{a: b}]", "[null]"});
      break;
    default:
      add({"[word]", "[\"1\"]", "[true]", "[null]"});
  }
  if (is_list && !takes_one) add({"word", "1"});
  if (spec.lower && !is_list) bad.push_back(number_past(*spec.lower, -1));
  if (spec.upper && !is_list) bad.push_back(number_past(*spec.upper, 1));
  if (!spec.choices.empty()) bad.push_back(is_list ? "[no_such_choice]" : "no_such_choice");
  // `off` is fine where it is a choice.
  std::erase_if(bad, [&](const std::string& value) {
    return std::ranges::find(spec.choices, OptionValue(value)) != spec.choices.end();
  });
  return bad;
}

TEST(EveryKey, IsRefusedWithEachBadValue) {
  int tried = 0;
  for (const Place& place : all_places())
    for (const OptionSpec& spec : place.table.options.specs)
      for (const std::string& value : bad_values(spec, place.table.takes_one(spec.name))) {
        const std::string path = child_path(place.path, spec.name);

        const Read read = read_run(kSample, {path + "=" + value});

        ASSERT_FALSE(read.diagnostics.ok()) << path << "=" << value;
        const Problem problem = read.diagnostics.errors()[0];
        EXPECT_TRUE(problem.path.starts_with(path)) << path << "=" << value << "\n"
                                                    << read.diagnostics.text();
        EXPECT_TRUE(problem.mark.file.starts_with("--set ")) << path << "=" << value;
        ++tried;
      }
  EXPECT_GT(tried, 300);
}

TEST(EverySection, IsRefusedAsAnythingElse) {
  for (const Place& place : all_places())
    for (const ChildSpec& child : place.table.children)
      for (const char* value :
           {"word", "4", "true", child.shape == ChildSpec::Shape::kList ? "{}" : "[]"}) {
        const std::string path = child_path(place.path, child.name);

        const Read read = read_run(kSample, {path + "=" + value});

        ASSERT_FALSE(read.diagnostics.ok()) << path << "=" << value;
        EXPECT_EQ(read.diagnostics.errors()[0].path, path) << read.diagnostics.text();
      }
}

TEST(EveryText, OfMutatedConfigurationsIsReadOrRefusedInOrder) {
  std::mt19937 random(1);
  const std::string alphabet = "{}[]:,-#&*!|>'\"%@`? \n\tax0\xc3\xa9$.\\";
  for (int i = 0; i < 3000; ++i) {
    std::string text = kSample;
    for (int change = 0; change < 1 + i % 8; ++change) {
      const size_t at = random() % text.size();
      if (random() % 3 == 0)
        text.erase(at, 1 + random() % 20);
      else
        text.insert(at, 1 + random() % 3, alphabet[random() % alphabet.size()]);
    }

    const Read read = read_run(text);

    for (const Problem& problem : read.diagnostics.errors()) {
      EXPECT_FALSE(problem.message.empty());
      EXPECT_FALSE(problem.mark.file.empty()) << problem.message << "\n" << text;
    }
    if (!read.diagnostics.ok()) continue;
    EXPECT_TRUE(read_run(to_yaml(resolved_node(read.config))).diagnostics.ok()) << text;
  }
}

}  // namespace
}  // namespace qtk::config
