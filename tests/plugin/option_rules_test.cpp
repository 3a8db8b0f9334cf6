#include "plugin/option_rules.hpp"

#include "plugin_files.hpp"

#include <qtk/options/option_set.hpp>

#include <gtest/gtest.h>

namespace qtk::plugin {
namespace {

struct Sample {
  int64_t bits = 4;
  double ratio = 0.5;

  static void describe(OptionSet<Sample>& o) {
    o.field("bits", &Sample::bits).range(2, 8).doc("Bits per weight.");
    o.field("ratio", &Sample::ratio).doc("Part of the whole.");
  }
};

template <class Change>
std::string violation_after(Change change) {
  OptionTable table = option_table<Sample>();
  change(table);
  return table_violation(table);
}

TEST(TableViolation, SoundTableHasNone) { EXPECT_EQ(table_violation(option_table<Sample>()), ""); }

TEST(TableViolation, EachRuleIsEnforced) {
  using Table = OptionTable&;
  EXPECT_EQ(violation_after([](Table t) { t.specs[1].doc = ""; }),
            "declares an option 'ratio' without a doc() sentence");
  EXPECT_EQ(violation_after([](Table t) { t.specs[0].doc = "Bits"; }),
            "declares an option 'bits' whose doc() sentence has no period at its end");
  EXPECT_EQ(violation_after([](Table t) { t.specs[0].name = "Bits"; }),
            "declares an option 'Bits' whose name is not lower snake case");
  EXPECT_EQ(violation_after([](Table t) { t.specs[1].name = "bits"; }),
            "declares the option 'bits' twice");
  EXPECT_EQ(violation_after([](Table t) { t.specs[0].write = nullptr; }),
            "declares an option 'bits' that cannot be read and written");
  EXPECT_EQ(violation_after([](Table t) { t.specs[0].default_value = 0.5; }),
            "declares an option 'bits' whose default is of another type");
  EXPECT_EQ(violation_after([](Table t) { t.specs[0].default_value = int64_t{9}; }),
            "declares an option 'bits' whose default 9 is outside [2, 8]");
}

TEST(ValuesViolation, NamesTheOptionAndItsValue) {
  const OptionTable table = option_table<Sample>();

  EXPECT_EQ(values_violation(table, {}), "");
  EXPECT_EQ(values_violation(table, {{"bits", int64_t{3}}, {"ratio", 2.0}}), "");
  EXPECT_EQ(values_violation(table, {{"bits", int64_t{9}}}), "option 'bits' = 9 is outside [2, 8]");
  EXPECT_CONTAINS(values_violation(table, {{"bits", 4.5}}), "option 'bits' = 4.5 is ");
  EXPECT_EQ(values_violation(table, {{"bit", int64_t{3}}}),
            "unknown option 'bit'; did you mean 'bits'?");
  EXPECT_EQ(values_violation(table, {{"something_else", int64_t{3}}}),
            "unknown option 'something_else'");
}

}  // namespace
}  // namespace qtk::plugin
