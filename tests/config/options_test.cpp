#include "config/options.hpp"

#include "config/fixture.hpp"

#include <qtk/options/option_set.hpp>

#include <gtest/gtest.h>

namespace qtk::config {
namespace {

struct SampleOptions {
  int bits = 4;
  int64_t group_size = 128;
  bool symmetric = true;
  std::string scale_rule = "absmax";
  double damp = 0.01;
  int64_t timeout = 60;
  std::vector<int64_t> codebook = {-1, 0, 1};
  std::vector<double> betas = {0.9, 0.95};
  std::vector<std::string> names;
  int old = 0;

  static void describe(OptionSet<SampleOptions>& o) {
    o.field("bits", &SampleOptions::bits).range(2, 8).unit("bit").doc("Bits per weight.");
    o.field("group_size", &SampleOptions::group_size)
        .one_of({32, 64, 128})
        .doc("Input channels that share one scale.");
    o.field("symmetric", &SampleOptions::symmetric).doc("Signed codes without a zero point.");
    o.field("scale_rule", &SampleOptions::scale_rule)
        .one_of({"absmax", "mse"})
        .doc("How the scale is chosen.");
    o.field("damp", &SampleOptions::damp).range(0, 1).doc("Damping.");
    o.field("timeout", &SampleOptions::timeout).at_least(1).unit("s").doc("Patience.");
    o.field("codebook", &SampleOptions::codebook).range(-8, 7).doc("Levels.");
    o.field("betas", &SampleOptions::betas).range(0, 1).doc("Decay.");
    o.field("names", &SampleOptions::names).doc("Names.");
    o.field("old", &SampleOptions::old).deprecated("use bits").doc("Old.");
  }
};

struct Resolved {
  OptionValues values;
  Diagnostics diagnostics;
};

Resolved resolve(const std::string& options) {
  Resolved result;
  const Document document = parse_document("options: " + options, "x.yaml", {}, result.diagnostics);
  result.values = resolve_options(option_table<SampleOptions>(), document.root.find("options"),
                                  "q.options", "quantizer `rtn`", result.diagnostics);
  return result;
}

TEST(ResolveOptions, GivesTypedValuesOfWhatWasGiven) {
  const Resolved result = resolve(
      "{bits: 3, group_size: 64, symmetric: false, scale_rule: mse, damp: 5e-3, timeout: 10min, "
      "codebook: [-1, 1], betas: "
      "[0.5, 1], names: [a, '4']}");

  EXPECT_TRUE(result.diagnostics.ok()) << result.diagnostics.text();
  EXPECT_EQ(result.values.at("bits"), OptionValue(int64_t{3}));
  EXPECT_EQ(result.values.at("symmetric"), OptionValue(false));
  EXPECT_EQ(result.values.at("damp"), OptionValue(0.005));
  EXPECT_EQ(result.values.at("timeout"), OptionValue(int64_t{600}));
  EXPECT_EQ(result.values.at("betas"), OptionValue(std::vector<double>{0.5, 1}));
  EXPECT_EQ(result.values.at("names"), OptionValue(std::vector<std::string>{"a", "4"}));
  EXPECT_EQ(result.values.size(), 9u);
}

TEST(ResolveOptions, TakesAnAbsentOrEmptyMapForNoOptions) {
  Diagnostics diagnostics;

  EXPECT_TRUE(
      resolve_options(option_table<SampleOptions>(), nullptr, "o", "x", diagnostics).empty());
  EXPECT_TRUE(resolve("{}").values.empty());
  EXPECT_TRUE(diagnostics.ok());
}

TEST(ResolveOptions, ReportsEachFaultWithPlaceAndRemedy) {
  const struct {
    const char* options;
    std::string text;
  } cases[] = {
      {"{grup_size: 64}",
       "unknown option `grup_size` for quantizer `rtn`\n  --> x.yaml:1:11   q.options.grup_size\n"
       "   did you mean `group_size`?  (int {32, 64, 128}; Input channels that share one scale.)"},
      {"{bitz: 3}",
       "unknown option `bitz` for quantizer `rtn`\n  --> x.yaml:1:11   q.options.bitz\n"
       "   did you mean `bits`?  (int in [2, 8], bit; Bits per weight.)"},
      {"{something_else_entirely: 3}",
       "unknown option `something_else_entirely` for quantizer `rtn`\n"
       "  --> x.yaml:1:11   q.options.something_else_entirely\n"
       "   known: bits, group_size, symmetric, scale_rule, damp, timeout, codebook, betas, names, "
       "old"},
      {"{bits: 9}",
       "`bits` of quantizer `rtn` = 9 is outside [2, 8]\n  --> x.yaml:1:17   q.options.bits\n"
       "   expected: int in [2, 8], bit"},
      {"{bits: 4.0}",
       "`bits` of quantizer `rtn` must be an int, found `4.0`\n  --> x.yaml:1:17   q.options.bits\n"
       "   write 4"},
      {"{bits: \"4\"}",
       "`bits` of quantizer `rtn` must be an int, found the quoted text \"4\"\n"
       "  --> x.yaml:1:17   q.options.bits\n   remove the quotes"},
      {"{bits: 04}",
       "`bits` of quantizer `rtn` is `04`: some readers take a leading zero for an octal number\n"
       "  --> x.yaml:1:17   q.options.bits\n   write it without the zero in front"},
      {"{bits: }",
       "`bits` of quantizer `rtn` has no value\n  --> x.yaml:1:11   q.options.bits\n"
       "   write a value, or remove the key to get the default"},
      {"{bits: [4]}",
       "`bits` of quantizer `rtn` must be an int, found a list\n  --> x.yaml:1:17   "
       "q.options.bits\n"
       "   expected: int in [2, 8], bit"},
      {"{scale_rule: absmx}",
       "`scale_rule` of quantizer `rtn` = absmx is not one of {absmax, mse}\n"
       "  --> x.yaml:1:23   q.options.scale_rule\n   did you mean `absmax`?"},
      {"{scale_rule: no}",
       "`scale_rule` of quantizer `rtn` must be a text, found `no`\n"
       "  --> x.yaml:1:23   q.options.scale_rule\n   put it into quotes: \"no\""},
      {"{symmetric: yes}",
       "`symmetric` of quantizer `rtn` must be a bool, found `yes`\n"
       "  --> x.yaml:1:22   q.options.symmetric\n   write true or false"},
      {"{damp: 10min}",
       "`damp` of quantizer `rtn` is `10min`: a duration, but this is no time\n"
       "  --> x.yaml:1:17   q.options.damp\n   write a plain number"},
      {"{codebook: 1}",
       "`codebook` of quantizer `rtn` must be a list of int, found `1`\n"
       "  --> x.yaml:1:21   q.options.codebook\n   write  [1]"},
      {"{codebook: [1, x]}",
       "`codebook` of quantizer `rtn` must be an int, found `x`\n"
       "  --> x.yaml:1:25   q.options.codebook.1\n   expected: list of int in [-8, 7]"},
      {"{codebook: [1, 9]}",
       "`codebook` of quantizer `rtn` = [1, 9] has 9 as element 1, which is outside [-8, 7]\n"
       "  --> x.yaml:1:21   q.options.codebook\n   expected: list of int in [-8, 7]"},
      {"4",
       "the options of quantizer `rtn` must be a section of `name: value` pairs, found `4`\n"
       "  --> x.yaml:1:10   q.options"},
      {"",
       "the options of quantizer `rtn` must be a section of `name: value` pairs, found nothing\n"
       "  --> x.yaml:1:1   q.options\n   write {} for none, or remove the key"},
  };
  for (const auto& c : cases) {
    const Resolved result = resolve(c.options);
    EXPECT_EQ(result.diagnostics.text(), c.text);
    EXPECT_TRUE(result.values.empty()) << c.options;
  }
}

TEST(ResolveOptions, ReportsAllFaultsAndKeepsTheGoodValues) {
  const Resolved result = resolve("{bitz: 1, bits: 3, damp: 2, betas: [a, b]}");

  EXPECT_EQ(result.diagnostics.errors().size(), 4u);  // two of them in one list
  EXPECT_EQ(result.values.size(), 1u);
}

TEST(ResolveOptions, WarnsOfADeprecatedOptionAndTakesIt) {
  const Resolved result = resolve("{old: 1}");

  EXPECT_TRUE(result.diagnostics.ok());
  ASSERT_EQ(result.diagnostics.warnings().size(), 1u);
  EXPECT_EQ(
      to_string(result.diagnostics.warnings()[0]),
      "`old` of quantizer `rtn` is deprecated\n  --> x.yaml:1:11   q.options.old\n   use bits");
  EXPECT_EQ(result.values.count("old"), 1u);
}

TEST(ResolveOptions, PassesOverAReferenceThatFailed) {
  const Resolved result = resolve("{bits: '${nothing}', codebook: ['${nothing}']}");

  EXPECT_EQ(result.diagnostics.errors().size(), 2u) << result.diagnostics.text();
  EXPECT_TRUE(contains(result.diagnostics.text(), "which is not there"));
}

TEST(ResolveOptions, IsQuickOnThousandsOfUnknownNames) {
  std::string options = "{";
  for (int i = 0; i < 20'000; ++i)
    options += "option_with_a_long_name_" + std::to_string(i) + ": 1, ";
  const std::clock_t start = std::clock();

  const Resolved result = resolve(options + "}");

  EXPECT_LT(static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC, 2.0);
  EXPECT_EQ(result.diagnostics.errors().size(), 20'000u);
}

}  // namespace
}  // namespace qtk::config
