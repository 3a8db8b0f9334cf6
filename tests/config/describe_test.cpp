#include "config/describe.hpp"

#include "config/fixture.hpp"
#include "config/options.hpp"

#include <qtk/options/option_set.hpp>

#include <gtest/gtest.h>

namespace qtk::config {
namespace {

struct DescribedOptions {
  int bits = 2;
  double tau_start = 1;
  std::string rule = "absmax";
  std::vector<std::string> names;
  int old = 0;
  static void describe(OptionSet<DescribedOptions>& o) {
    o.field("bits", &DescribedOptions::bits)
        .one_of({2, 3, 4})
        .unit("bit")
        .searchable()
        .doc("Bits per weight.");
    o.field("tau_start", &DescribedOptions::tau_start)
        .range(0.01, 10)
        .searchable(Searchable::kLog)
        .paper("Eq. 5")
        .doc("Softmax temperature at step 0.");
    o.field("rule", &DescribedOptions::rule).original("--rule").since("0.2").doc("Scale rule.");
    o.field("names", &DescribedOptions::names).doc("Names.");
    o.field("old", &DescribedOptions::old).at_least(0).deprecated("use bits").doc("Old.");
  }
};

TEST(DescribeOptions, PrintsOneAlignedLineAnOption) {
  EXPECT_EQ(
      describe_options(option_table<DescribedOptions>()),
      "  bits       int           default=2       {2, 3, 4}     bit  Bits per weight.              "
      "            "
      "  searchable\n"
      "  tau_start  float         default=1.0     [0.01, 10.0]       Softmax temperature at step "
      "0. (Eq. 5)    "
      "  searchable (log)\n"
      "  rule       text          default=absmax                     Scale rule. Originally: "
      "--rule. Since 0.2.\n"
      "  names      list of text  default=[]                         Names.\n"
      "  old        int           default=0       >= 0               Old. Deprecated: use bits.\n");
}

TEST(OptionsYaml, IsAConfigurationOfDefaultsWithComments) {
  const OptionTable table = option_table<DescribedOptions>();

  const std::string yaml = options_yaml(table, 2);

  EXPECT_EQ(yaml,
            "  bits: 2  # int {2, 3, 4}, bit. Bits per weight.\n"
            "  tau_start: 1.0  # float [0.01, 10.0]. Softmax temperature at step 0.\n"
            "  rule: absmax  # text. Scale rule.\n"
            "  # names: []  # list of text. Names.\n");
  Diagnostics diagnostics;
  const Document document = parse_document("options:\n" + yaml, "x.yaml", {}, diagnostics);
  EXPECT_EQ(
      resolve_options(table, document.root.find("options"), "options", "x", diagnostics).size(),
      3u);
  EXPECT_TRUE(diagnostics.ok()) << diagnostics.text();
}

void expect_documented(const SectionTable& table, const std::string& path) {
  const auto is_sentence = [](const std::string& text) {
    return text.size() > 3 && text.back() == '.';
  };
  for (const OptionSpec& spec : table.options.specs)
    EXPECT_TRUE(is_sentence(spec.doc)) << path << "." << spec.name;
  for (const ChildSpec& child : table.children) {
    EXPECT_TRUE(is_sentence(child.doc)) << path << "." << child.name;
    if (child.table) expect_documented(child.table(), path + "." + child.name);
  }
}

TEST(RunConfigTables, DocumentEveryKeyWithASentence) {
  expect_documented(section_table<RunConfig>(), "");
}

TEST(DescribeRun, ListsEverySection) {
  const std::string text = describe_run();

  for (const char* line : {"top level\n", "\ndata.eval\n", "\nquantizer.rules[]\n", "\nexport[]\n"})
    EXPECT_TRUE(contains(text, line)) << line << text;
  EXPECT_TRUE(contains(text, "  ctx           int           default=512"));
  EXPECT_TRUE(contains(text, "  files         list of text  required"));
}

}  // namespace
}  // namespace qtk::config
