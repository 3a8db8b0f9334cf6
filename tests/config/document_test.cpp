// Includes, overrides and references: what makes several texts one tree.
#include "config/document.hpp"

#include "config/fixture.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

namespace qtk::config {
namespace {

Document load(const Files& files, Diagnostics& diagnostics,
              const std::vector<std::string>& overrides = {}) {
  return load_document(files / "main.yaml", overrides, diagnostics);
}

/// The only problem of a set of files, as text without the folder.
std::string only_problem(const Files& files, const std::vector<std::string>& overrides = {}) {
  Diagnostics diagnostics;
  load(files, diagnostics, overrides);
  EXPECT_EQ(diagnostics.errors().size(), 1u) << diagnostics.text();
  return without(diagnostics.text(), files.folder().string() + "/");
}

std::string text_at(const Document& document, const std::string& path) {
  const Node* node = find_path(document.root, path);
  return node ? node->text() : "(absent)";
}

TEST(Include, LaysTheFileOverItsIncludesAndTheLaterOverTheEarlier) {
  const Files files({{"main.yaml", "include: [one.yaml, two.yaml]\na: main\n"},
                     {"one.yaml", "a: one\nb: one\nm: {x: one, y: one}\n"},
                     {"two.yaml", "b: two\nm: {y: two}\n"}});
  Diagnostics diagnostics;

  const Document document = load(files, diagnostics);

  EXPECT_TRUE(diagnostics.ok()) << diagnostics.text();
  EXPECT_EQ(text_at(document, "a"), "main");
  EXPECT_EQ(text_at(document, "b"), "two");
  EXPECT_EQ(text_at(document, "m.x"), "one");
  EXPECT_EQ(text_at(document, "m.y"), "two");
  EXPECT_EQ(document.root.find("include"), nullptr);
  ASSERT_EQ(document.files.size(), 3u);
  EXPECT_EQ(document.files[0], files / "main.yaml");
  EXPECT_EQ(find_path(document.root, "m.y")->mark(),
            (SourceMark{(files / "two.yaml").string(), 2, 8}));
}

TEST(Include, IsRelativeToTheIncludingFileAndTakesASingleName) {
  const Files files({{"main.yaml", "include: sub/a.yaml\n"},
                     {"sub/a.yaml", "include: [b.yaml, ../c.yaml]\n"},
                     {"sub/b.yaml", "b: 1\n"},
                     {"c.yaml", "c: 1\n"}});
  Diagnostics diagnostics;

  const Document document = load(files, diagnostics);

  EXPECT_TRUE(diagnostics.ok()) << diagnostics.text();
  EXPECT_EQ(text_at(document, "b") + text_at(document, "c"), "11");
}

TEST(Include, MayMeetTheSameFileTwice) {
  const Files files({{"main.yaml", "include: [a.yaml, b.yaml]\n"},
                     {"a.yaml", "include: base.yaml\n"},
                     {"b.yaml", "include: base.yaml\n"},
                     {"base.yaml", "x: 1\n"}});
  Diagnostics diagnostics;

  EXPECT_EQ(text_at(load(files, diagnostics), "x"), "1");
  EXPECT_TRUE(diagnostics.ok()) << diagnostics.text();
}

TEST(Include, ReportsWhatCannotBeIncludedAtItsPlace) {
  const std::string relative = "\n   paths are relative to the including file";
  const struct {
    std::map<std::string, std::string> files;
    std::string text;
  } cases[] = {
      {{{"main.yaml", "a: 1\ninclude: [gone.yaml]\n"}},
       "cannot include `gone.yaml`: there is no file gone.yaml\n  --> main.yaml:2:11   include.0" +
           relative},
      {{{"main.yaml", "include: a.yaml\n"},
        {"a.yaml", "include: [b.yaml]\n"},
        {"b.yaml", "x: 1\ninclude: a.yaml\n"}},
       "cannot include `a.yaml`: it includes itself: a.yaml -> b.yaml -> a.yaml\n  --> b.yaml:2:10 "
       "  include" +
           relative},
      {{{"main.yaml", "include: main.yaml\n"}},
       "cannot include `main.yaml`: it includes itself: main.yaml -> main.yaml\n  --> "
       "main.yaml:1:10   include" +
           relative},
      {{{"main.yaml", "include: /etc/passwd\n"}},
       "cannot include `/etc/passwd`: the path is absolute\n  --> main.yaml:1:10   include" +
           relative},
      {{{"main.yaml", "include: ../../../../../../etc/passwd\n"}},
       "cannot include `../../../../../../etc/passwd`: it lies outside the folder of the "
       "configuration and the current "
       "one\n  --> main.yaml:1:10   include" +
           relative},
      {{{"main.yaml", "include: ''\n"}},
       "cannot include ``: the path is empty\n  --> main.yaml:1:10   include" + relative},
      {{{"main.yaml", "include: [{a: b}]\n"}},
       "an included file must be a text, found a section\n  --> main.yaml:1:11   include.0"},
      {{{"main.yaml", "include:\n"}},
       "an included file must be a text, found nothing\n  --> main.yaml:1:1   include"},
      {{{"main.yaml", "include: a.yaml\n"}, {"a.yaml", "- 1\n"}},
       "a configuration is a section of `key: value` pairs, found a list\n  --> a.yaml:1:1\n   "
       "start it with  qtk: 1"},
  };
  for (const auto& c : cases) EXPECT_EQ(only_problem(Files(c.files)), c.text);
}

TEST(Include, EndsABombOfFilesThatIncludeTheNextOneTwice) {
  std::map<std::string, std::string> texts = {{"main.yaml", "include: [f0.yaml]\n"}};
  for (int i = 0; i < 30; ++i) {
    const std::string next = "f" + std::to_string(i + 1) + ".yaml";
    texts["f" + std::to_string(i) + ".yaml"] = "include: [" + next + ", " + next + "]\n";
  }
  texts["f30.yaml"] = "x: 1\n";
  Diagnostics diagnostics;

  load(Files(texts), diagnostics);

  ASSERT_FALSE(diagnostics.ok());
  EXPECT_TRUE(contains(diagnostics.text(), "more than 64 files are included"));
}

TEST(LoadDocument, ReportsAMissingAnEmptyAndAnUnreadableFile) {
  const Files files({{"empty.yaml", "# nothing\n"}, {"broken.yaml", "a: ["}});
  const struct {
    const char* name;
    std::string text;
  } cases[] = {
      {"gone.yaml", "cannot read gone.yaml: no such file\n  --> gone.yaml\n   check the path"},
      {"empty.yaml", "the configuration is empty\n  --> empty.yaml:1:1\n   start it with  qtk: 1"},
      {"broken.yaml",
       "not valid YAML: end of sequence flow not found\n  --> broken.yaml:1:5\n   a list that "
       "starts with `[` "
       "needs its `]`"}};
  for (const auto& c : cases) {
    Diagnostics diagnostics;

    const Document document = load_document(files / c.name, {}, diagnostics);

    EXPECT_FALSE(document.is_readable);
    EXPECT_EQ(without(diagnostics.text(), files.folder().string() + "/"), c.text);
  }
}

TEST(Override, ReplacesMakesAndAddressesElements) {
  const Files files("a: {b: 1, c: 2}\nlist: [{x: 1}, {x: 2}]\n");
  Diagnostics diagnostics;

  const Document document =
      load(files, diagnostics, {"a.b=3", "new.deep.key=[1, 2]", "list.1.x=5", "a.c={d: =}"});

  EXPECT_TRUE(diagnostics.ok()) << diagnostics.text();
  EXPECT_EQ(text_at(document, "a.b"), "3");
  EXPECT_EQ(text_at(document, "new.deep.key.1"), "2");
  EXPECT_EQ(text_at(document, "list.0.x"), "1");
  EXPECT_EQ(text_at(document, "list.1.x"), "5");
  EXPECT_EQ(text_at(document, "a.c.d"), "=");
  EXPECT_EQ(find_path(document.root, "new.deep.key.1")->mark(),
            (SourceMark{"--set new.deep.key=[1, 2]", 1, 18}));
}

TEST(Override, KeepsTheTypeRulesOfAFile) {
  const Files files("a: 1\n");
  Diagnostics diagnostics;

  const Document document = load(files, diagnostics, {"a=\"4\"", "b=''"});

  EXPECT_EQ(find_path(document.root, "a")->style(), ScalarStyle::kQuoted);
  EXPECT_EQ(find_path(document.root, "b")->text(), "");
}

TEST(Override, ReportsWhatIsNoAssignment) {
  const std::string form = "\n   write  --set section.key=value";
  const struct {
    std::string text;
    std::string problem;
  } cases[] = {
      {"a.b", "`a.b` is no assignment\n  --> --set a.b:1:1" + form},
      {"=1", "`` is no key\n  --> --set =1:1:1" + form},
      {"a..b=1", "`` is no key\n  --> --set a..b=1:1:3" + form},
      {"a.=1", "`` is no key\n  --> --set a.=1:1:3" + form},
      {"a b=1", "`a b` is no key\n  --> --set a b=1:1:1" + form},
      {"a=", "no value for `a`\n  --> --set a=:1:3   a\n   for an empty text write  a='\"\"'"},
      {"a=null",
       "no value for `a`\n  --> --set a=null:1:3   a\n   for an empty text write  a='\"\"'"},
      {"a=[1",
       "not valid YAML: end of sequence flow not found\n  --> --set a=[1:1:5   a\n   a list that "
       "starts with `[` "
       "needs its `]`"},
      {"s.t=1",
       "cannot set `s.t`: `s` is `word`\n  --> --set s.t=1:1:3   s.t\n   set `s` as a whole"},
      {"list.2=1",
       "cannot set `list.2`: `list` is a list of 2 elements\n  --> --set list.2=1:1:6   list.2\n   "
       "elements "
       "count from 0"},
      {"list.x=1",
       "cannot set `list.x`: `list` is a list of 2 elements\n  --> --set list.x=1:1:6   list.x\n   "
       "elements "
       "count from 0"},
  };
  const Files files("s: word\nlist: [1, 2]\n");
  for (const auto& c : cases) EXPECT_EQ(only_problem(files, {c.text}), c.problem);
}

TEST(Override, RefusesAPathOfAbsurdDepth) {
  std::string path = "a";
  for (int i = 0; i < 100'000; ++i) path += ".a";

  EXPECT_TRUE(contains(only_problem(Files("b: 1\n"), {path + "=1"}), "the path is too long"));
}

class Interpolation : public testing::Test {
 protected:
  Interpolation() {
    ::setenv("QTK_TEST_NUMBER", "12", 1);
    ::setenv("QTK_TEST_TEXT", "yes", 1);
    ::unsetenv("QTK_TEST_UNSET");
  }
};

TEST_F(Interpolation, TakesValuesAndTheirTypeFromElsewhere) {
  const Files files(
      "a: 4\nb: ${a}\nc: \"${b}\"\nd: run-${a}-${m.0.x}\nm: [{x: 'q'}]\ne: ${m.0.x}\n");
  Diagnostics diagnostics;

  const Document document = load(files, diagnostics);

  EXPECT_TRUE(diagnostics.ok()) << diagnostics.text();
  EXPECT_EQ(text_at(document, "b"), "4");
  EXPECT_EQ(find_path(document.root, "b")->style(), ScalarStyle::kPlain);
  EXPECT_EQ(find_path(document.root, "c")->style(),
            ScalarStyle::kPlain);  // in {braces} quotes cannot be avoided
  EXPECT_EQ(text_at(document, "d"), "run-4-q");
  EXPECT_EQ(find_path(document.root, "e")->style(), ScalarStyle::kQuoted);
  EXPECT_EQ(find_path(document.root, "b")->mark().line, 2);
}

TEST_F(Interpolation, TakesTheEnvironmentAsAnyType) {
  const Files files("a: ${env:QTK_TEST_NUMBER}\nb: /data/${env:QTK_TEST_TEXT}\n");
  Diagnostics diagnostics;

  const Document document = load(files, diagnostics);

  EXPECT_EQ(text_at(document, "a"), "12");
  EXPECT_EQ(find_path(document.root, "a")->style(), ScalarStyle::kUntyped);
  EXPECT_EQ(text_at(document, "b"), "/data/yes");
}

TEST_F(Interpolation, HappensAfterOverrides) {
  Diagnostics diagnostics;

  const Document document = load(Files("a: 1\nb: ${a}\n"), diagnostics, {"a=2", "c=${b}"});

  EXPECT_EQ(text_at(document, "b") + text_at(document, "c"), "22");
}

TEST_F(Interpolation, LeavesAnEscapedDollarAsText) {
  Diagnostics diagnostics;

  const Document document = load(Files("a: $${b}\nc: \"$$${d}, $5\"\n"), diagnostics);

  EXPECT_TRUE(diagnostics.ok()) << diagnostics.text();
  EXPECT_EQ(text_at(document, "a"), "${b}");
  EXPECT_EQ(text_at(document, "c"), "$${d}, $5");
}

TEST_F(Interpolation, ReportsReferencesThatLeadNowhere) {
  const struct {
    std::string text;
    std::string problem;
  } cases[] = {
      {"a: ${b.c}\n",
       "the value of `a` refers to `${b.c}`, which is not there\n  --> main.yaml:1:4   a\n   give "
       "the full dotted path, "
       "or `${env:NAME}` for the environment"},
      {"a: ${}\n",
       "the value of `a` refers to `${}`, which is not there\n  --> main.yaml:1:4   a\n   give the "
       "full dotted path, or "
       "`${env:NAME}` for the environment"},
      {"a: x${env:QTK_TEST_UNSET}\n",
       "the value of `a` refers to `${env:QTK_TEST_UNSET}`, which is not set\n  --> main.yaml:1:4  "
       " a\n   export "
       "QTK_TEST_UNSET=..."},
      {"a: \"${b\"\n",
       "the value of `a` has `${` without `}`\n  --> main.yaml:1:4   a\n   write `$${` for the "
       "characters "
       "`${`"},
      {"m: {x: 1}\na: ${m}\n",
       "the value of `a` refers to `${m}`, which is a section\n  --> main.yaml:2:4   a\n   refer "
       "to a single value"},
      {"m: [\"${m.0}\"]\n",
       "the value of `m.0` refers to itself\n  --> main.yaml:1:5   m.0\n   break the circle of "
       "references"},
  };
  for (const auto& c : cases) EXPECT_EQ(only_problem(Files(c.text)), c.problem);
}

TEST_F(Interpolation, ReportsEveryMemberOfACircle) {
  Diagnostics diagnostics;

  load(Files("a: ${b}\nb: ${c}\nc: ${a}\n"), diagnostics);

  ASSERT_EQ(diagnostics.errors().size(), 3u) << diagnostics.text();
  EXPECT_EQ(diagnostics.errors()[0].message, "the value of `a` refers to itself");
}

TEST_F(Interpolation, EndsBombsOfReferences) {
  std::string doubling = "a0: xxxxxxxxxxxxxxxx\n";
  std::string chain = "b0: 1\n";
  std::string many = "c: 1\nlist:\n";
  for (int i = 1; i < 60; ++i) {
    const std::string before = std::to_string(i - 1);
    doubling += "a" + std::to_string(i) + ": ${a" + before + "}${a" + before + "}\n";
  }
  for (int i = 0; i < 3000; ++i)
    chain = "b" + std::to_string(i + 1) + ": ${b" + std::to_string(i) + "}\n" + chain;
  for (int i = 0; i < 3000; ++i) many += "- ${c}\n";
  const std::pair<std::string, std::string> cases[] = {{doubling, "grows too long"},
                                                       {chain, "is too long a chain of references"},
                                                       {many, "is reference number 1001"}};
  for (const auto& [text, message] : cases) {
    Diagnostics diagnostics;

    load(Files(text), diagnostics);

    EXPECT_TRUE(contains(diagnostics.text(), message)) << diagnostics.text();
  }
}

}  // namespace
}  // namespace qtk::config
