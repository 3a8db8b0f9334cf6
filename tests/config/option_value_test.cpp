#include <qtk/options/option_set.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace qtk {
namespace {

using Texts = std::vector<std::string>;
using Ints = std::vector<int64_t>;
using Reals = std::vector<double>;

TEST(OptionTypeName, NamesEveryType) {
  const std::pair<OptionType, const char*> cases[] = {{OptionType::kBool, "bool"},
                                                      {OptionType::kInt, "int"},
                                                      {OptionType::kReal, "float"},
                                                      {OptionType::kText, "text"},
                                                      {OptionType::kIntList, "list of int"},
                                                      {OptionType::kRealList, "list of float"},
                                                      {OptionType::kTextList, "list of text"}};
  for (const auto& [type, name] : cases) EXPECT_EQ(option_type_name(type), name);
}

TEST(OptionValueText, IsWhatYamlWouldWrite) {
  const std::pair<OptionValue, const char*> cases[] = {
      {true, "true"},
      {int64_t{-3}, "-3"},
      {1.0, "1.0"},
      {0.1, "0.1"},
      {1e20, "1e+20"},
      {5e-5, "5e-05"},
      {std::string("absmax"), "absmax"},
      {std::string("yes"), "\"yes\""},
      {std::string("4"), "\"4\""},
      {std::string("a: b"), "\"a: b\""},
      {std::string(), "\"\""},
      {std::numeric_limits<double>::infinity(), ".inf"},
      {Ints{-1, 0, 1}, "[-1, 0, 1]"},
      {Reals{0.5, 2}, "[0.5, 2.0]"},
      {Texts{"a", "re:.*"}, "[a, \"re:.*\"]"},
      {Texts{}, "[]"}};
  for (const auto& [value, text] : cases) EXPECT_EQ(option_value_text(value), text);
}

OptionSpec spec_of(OptionType type, std::optional<double> lower = {},
                   std::optional<double> upper = {}, std::vector<OptionValue> choices = {}) {
  OptionSpec spec;
  spec.type = type;
  spec.lower = lower;
  spec.upper = upper;
  spec.choices = std::move(choices);
  return spec;
}

TEST(OptionViolation, IsEmptyForAGoodValue) {
  EXPECT_EQ(option_violation(spec_of(OptionType::kInt, 2, 8), int64_t{2}), "");
  EXPECT_EQ(option_violation(spec_of(OptionType::kInt, 2, 8), int64_t{8}), "");
  EXPECT_EQ(option_violation(spec_of(OptionType::kReal), 1e300), "");
  EXPECT_EQ(
      option_violation(spec_of(OptionType::kText, {}, {}, {std::string("a")}), std::string("a")),
      "");
  EXPECT_EQ(option_violation(spec_of(OptionType::kIntList, 0, 1), Ints{}), "");
}

TEST(OptionViolation, SaysWhatIsWrong) {
  const std::vector<OptionValue> sizes = {int64_t{32}, int64_t{64}};
  const std::vector<OptionValue> words = {std::string("absmax"), std::string("mse")};
  const struct {
    OptionSpec spec;
    OptionValue value;
    const char* text;
  } cases[] = {
      {spec_of(OptionType::kInt, 2, 8), int64_t{9}, "is outside [2, 8]"},
      {spec_of(OptionType::kInt, 2, 8), int64_t{1}, "is outside [2, 8]"},
      {spec_of(OptionType::kInt, 1), int64_t{0}, "is not >= 1"},
      {spec_of(OptionType::kReal, {}, 0.5), 0.6, "is not <= 0.5"},
      {spec_of(OptionType::kReal, 0, 1), std::nan(""), "is outside [0.0, 1.0]"},
      {spec_of(OptionType::kInt, {}, {}, sizes), int64_t{48}, "is not one of {32, 64}"},
      {spec_of(OptionType::kText, {}, {}, words), std::string("rms"),
       "is not one of {absmax, mse}"},
      {spec_of(OptionType::kIntList, -1, 1), Ints{0, 2},
       "has 2 as element 1, which is outside [-1, 1]"},
      {spec_of(OptionType::kTextList, {}, {}, words), Texts{"x"},
       "has x as element 0, which is not one of {absmax, mse}"},
      {spec_of(OptionType::kInt), std::string("4"), "is of type text, expected int"},
      {spec_of(OptionType::kReal), int64_t{4}, "is of type int, expected float"},
  };
  for (const auto& c : cases) EXPECT_EQ(option_violation(c.spec, c.value), c.text);
}

struct NarrowOptions {
  int narrow = 1;
  uint8_t tiny = 1;
  uint64_t wide = 1;
  float real = 1;
  int bounded = 4;
  static void describe(OptionSet<NarrowOptions>& o) {
    o.field("narrow", &NarrowOptions::narrow).doc("A.");
    o.field("tiny", &NarrowOptions::tiny).doc("B.");
    o.field("wide", &NarrowOptions::wide).doc("C.");
    o.field("real", &NarrowOptions::real).doc("D.");
    o.field("bounded", &NarrowOptions::bounded).range(2, 8).doc("E.");
  }
};

TEST(OptionViolation, RefusesValuesThatTheMemberCannotHold) {
  const OptionTable table = option_table<NarrowOptions>();
  const auto violation = [&](const char* name, OptionValue value) {
    return option_violation(*table.find(name), value);
  };

  EXPECT_EQ(violation("narrow", int64_t{1} << 32), "does not fit into 32 bits");
  EXPECT_EQ(violation("narrow", -(int64_t{1} << 32)), "does not fit into 32 bits");
  EXPECT_EQ(violation("narrow", int64_t{INT32_MAX}), "");
  EXPECT_EQ(violation("tiny", int64_t{256}), "is outside [0, 255]");
  EXPECT_EQ(violation("wide", int64_t{-1}), "is not >= 0");
  EXPECT_EQ(violation("wide", int64_t{INT64_MAX}), "");
  EXPECT_EQ(violation("real", 1e39), "does not fit into 32 bits");
  EXPECT_EQ(violation("bounded", int64_t{9}), "is outside [2, 8]");
}

TEST(OptionTable, FindsByName) {
  const OptionTable table = option_table<NarrowOptions>();

  EXPECT_EQ(table.find("tiny")->doc, "B.");
  EXPECT_EQ(table.find("tinny"), nullptr);
}

}  // namespace
}  // namespace qtk
