#include "config/section.hpp"

#include "config/emit.hpp"
#include "config/fixture.hpp"
#include "config/plugin_node.hpp"

#include <gtest/gtest.h>

namespace qtk::config {
namespace {

struct Inner {
  int64_t x = 1;
  std::vector<std::string> names = {"a"};
  SourceMark mark;
  std::string path;
  static void describe(OptionSet<Inner>& o) {
    o.field("x", &Inner::x).range(0, 9).doc("An x.");
    o.field("names", &Inner::names).doc("Names.");
  }
  static void sections(SectionSet<Inner>& s) { s.one_or_list("names"); }
};

struct Outer {
  std::string title;
  Inner always;
  std::optional<Inner> maybe;
  std::vector<Inner> many;
  std::optional<std::vector<Inner>> maybe_many;
  std::optional<PluginNode<"scheduler">> scheduler;
  static void describe(OptionSet<Outer>& o) { o.field("title", &Outer::title).doc("A title."); }
  static void sections(SectionSet<Outer>& s) {
    s.require("title");
    s.section("always", &Outer::always).doc("Always there.");
    s.section("maybe", &Outer::maybe).doc("Perhaps there.");
    s.list("many", &Outer::many).doc("Several.");
    s.list("maybe_many", &Outer::maybe_many).doc("Perhaps several.");
    s.section("scheduler", &Outer::scheduler).doc("A plugin.");
  }
  void validate() const {
    if (title == "bad") throw ConfigError("the title is bad", "choose another");
  }
};

Outer read(const std::string& text, Diagnostics& diagnostics) {
  const Document document = parse_document(text, "x.yaml", {}, diagnostics);
  return read_section<Outer>(&document.root, "", diagnostics);
}

TEST(ReadSection, FillsStructsListsAndOptionals) {
  Diagnostics diagnostics;

  const Outer outer = read(
      "title: t\nalways: {x: 2}\nmaybe: {names: one}\nmany:\n  - {x: 3}\n  - {names: [b, "
      "c]}\nmaybe_many: []\n",
      diagnostics);

  EXPECT_TRUE(diagnostics.ok()) << diagnostics.text();
  EXPECT_EQ(outer.always.x, 2);
  EXPECT_EQ(outer.maybe->names, std::vector<std::string>{"one"});
  EXPECT_EQ(outer.maybe->x, 1);
  ASSERT_EQ(outer.many.size(), 2u);
  EXPECT_EQ(outer.many[1].names.size(), 2u);
  EXPECT_EQ(outer.many[1].path, "many.1");
  EXPECT_EQ(outer.many[1].mark, (SourceMark{"x.yaml", 6, 5}));
  EXPECT_TRUE(outer.maybe_many.has_value());
  EXPECT_FALSE(outer.scheduler.has_value());
}

TEST(ReadSection, ReadsAPluginNode) {
  Diagnostics diagnostics;

  const Outer outer =
      read("title: t\nscheduler: {use: cosine, options: {end: 0.5}}\n", diagnostics);

  EXPECT_TRUE(diagnostics.ok()) << diagnostics.text();
  EXPECT_EQ(outer.scheduler->use, "cosine");
  EXPECT_EQ(outer.scheduler->options.find("end")->text(), "0.5");
  EXPECT_EQ(outer.scheduler->path, "scheduler");
}

TEST(ReadSection, ReportsFaultsAtEveryLevel) {
  const struct {
    const char* text;
    const char* problem;
  } cases[] = {
      {"title: t\nalwys: {}\n",
       "unknown key `alwys` in the configuration\n  --> x.yaml:2:1   alwys\n   did you mean "
       "`always`?"},
      {"title: t\nalways: {X: 1}\n",
       "unknown key `X` in `always`\n  --> x.yaml:2:10   always.X\n   did you mean `x`?  (int "
       "in [0, 9]; An x.)"},
      {"title: t\nmany: [{}, {nmes: a}]\n",
       "unknown key `nmes` in `many.1`\n  --> x.yaml:2:13   many.1.nmes\n   did you "
       "mean `names`?  (list of text; Names.)"},
      {"title: t\nalways: {x: 10}\n",
       "`x` of `always` = 10 is outside [0, 9]\n  --> x.yaml:2:13   always.x\n   expected: "
       "int in [0, 9]"},
      {"title: t\nalways: 3\n",
       "`always` must be a section of `key: value` pairs, found `3`\n  --> x.yaml:2:9   always"},
      {"title: t\nalways:\n",
       "`always` must be a section of `key: value` pairs, found nothing\n  --> x.yaml:2:1   "
       "always\n  "
       " write {}, or remove the key"},
      {"title: t\nmany: {x: 1}\n",
       "`many` must be a list, found a section\n  --> x.yaml:2:7   many"},
      {"title: t\nmany:\n",
       "`many` must be a list, found nothing\n  --> x.yaml:2:1   many\n   write [], or remove the "
       "key"},
      {"title: t\nmany: [x]\n",
       "`many.0` must be a section of `key: value` pairs, found `x`\n  --> x.yaml:2:8   many.0"},
      {"always: {}\n",
       "the configuration has no `title`\n  --> x.yaml:1:1   title\n   add it:  title: ...   A "
       "title."},
      {"title: ''\n", "`title` is empty\n  --> x.yaml:1:8   title\n   A title."},
      {"title: bad\n", "the title is bad\n  --> x.yaml:1:1\n   choose another"},
      {"titel: t\n",
       "unknown key `titel` in the configuration\n  --> x.yaml:1:1   titel\n   did you mean "
       "`title`?  (text; A "
       "title.)"},
      {"title: t\nscheduler: {options: {}}\n",
       "`scheduler` has no `use`\n  --> x.yaml:2:12   scheduler.use\n   add it:  "
       "use: ...   Id of the scheduler."},
      {"title: t\nscheduler: {plugin: cosine}\n",
       "unknown key `plugin` in `scheduler`\n  --> x.yaml:2:13   "
       "scheduler.plugin\n   did you mean `use`?  (use: ID, options: {...})"},
      {"title: t\nscheduler: {use: cosine, options: [1]}\n",
       "`scheduler.options` must be a section of `key: value` pairs, "
       "found a list\n  --> x.yaml:2:35   scheduler.options"},
      {"title: t\nscheduler: {use: cosine, option: {}}\n",
       "unknown key `option` in `scheduler`\n  --> x.yaml:2:26   "
       "scheduler.option\n   did you mean `options`?"},
  };
  for (const auto& c : cases) {
    Diagnostics diagnostics;

    read(c.text, diagnostics);

    EXPECT_EQ(diagnostics.text(), c.problem);
  }
}

TEST(ReadSection, GivesDefaultsForAnAbsentNode) {
  Diagnostics diagnostics;

  EXPECT_EQ(read_section<Inner>(nullptr, "always", diagnostics).x, 1);
  EXPECT_TRUE(diagnostics.ok());
}

TEST(SectionNode, WritesWhatReadsBackAsTheSame) {
  Diagnostics diagnostics;
  const Outer outer = read(
      "title: t\nmaybe: {x: 5}\nmany: [{x: 3}]\nmaybe_many: []\nscheduler: {use: s, options: {a: "
      "1}}\n",
      diagnostics);

  const std::string yaml = to_yaml(section_node(outer));

  EXPECT_EQ(yaml,
            "title: t\n"
            "always:\n  x: 1\n  names: [a]\n"
            "maybe:\n  x: 5\n  names: [a]\n"
            "many:\n  - x: 3\n    names: [a]\n"
            "maybe_many: []\n"
            "scheduler:\n  use: s\n  options:\n    a: 1\n");
  EXPECT_EQ(to_yaml(section_node(read(yaml, diagnostics))), yaml);
  EXPECT_TRUE(diagnostics.ok()) << diagnostics.text();
}

TEST(SectionTable, NamesItsKeysInOrder) {
  EXPECT_EQ(
      section_table<Outer>().keys(),
      (std::vector<std::string>{"title", "always", "maybe", "many", "maybe_many", "scheduler"}));
}

}  // namespace
}  // namespace qtk::config
