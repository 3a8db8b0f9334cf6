#include "config/diagnostics.hpp"

#include <gtest/gtest.h>

namespace qtk::config {
namespace {

const Problem kUnknown = {
    "unknown option `grup_size` for quantizer `hestia`",
    {"exp/hestia.yaml", 14, 43},
    "quantizer.options.grup_size",
    "did you mean `group_size`?  (int; Input channels.)\nall options: qtk describe hestia"};

TEST(Diagnostics, PrintsAProblemAsABlock) {
  EXPECT_EQ(to_string(kUnknown),
            "unknown option `grup_size` for quantizer `hestia`\n"
            "  --> exp/hestia.yaml:14:43   quantizer.options.grup_size\n"
            "   did you mean `group_size`?  (int; Input channels.)\n"
            "   all options: qtk describe hestia");
}

TEST(Diagnostics, LeavesOutWhatAProblemDoesNotHave) {
  EXPECT_EQ(to_string(Problem{"bad", {}, "", ""}), "bad");
  EXPECT_EQ(to_string(Problem{"bad", {"x.yaml"}, "", ""}), "bad\n  --> x.yaml");
  EXPECT_EQ(to_string(Problem{"bad", {}, "a.b", ""}), "bad\n  --> a.b");
}

TEST(Diagnostics, ThrowsAllErrorsSortedByPositionEachWithItsPrefix) {
  Diagnostics diagnostics;
  diagnostics.error({"third", {"b.yaml", 1, 1}, "", ""});
  diagnostics.error({"second", {"a.yaml", 10, 1}, "", "do this"});
  diagnostics.error({"first", {"a.yaml", 9, 7}, "", ""});

  try {
    diagnostics.throw_if_any();
    FAIL() << "did not throw";
  } catch (const ConfigError& error) {
    EXPECT_STREQ(error.what(),
                 "first\n  --> a.yaml:9:7\n"
                 "error[config]: second\n  --> a.yaml:10:1\n   do this\n"
                 "error[config]: third\n  --> b.yaml:1:1");
    EXPECT_EQ(error.code(), ExitCode::kConfig);
  }
}

TEST(Diagnostics, KeepsTheFirstProblemOfAPlace) {
  Diagnostics diagnostics;

  diagnostics.error({"cause", {"a", 1, 1}, "x", ""});
  diagnostics.error({"consequence", {"a", 1, 1}, "x", ""});
  diagnostics.error({"another key", {"a", 1, 1}, "y", ""});
  diagnostics.error({"cause", {"a", 1, 1}, "seen by another variant", ""});

  ASSERT_EQ(diagnostics.errors().size(), 2u);
  EXPECT_EQ(diagnostics.errors()[0].message, "cause");
}

TEST(Diagnostics, DoesNotThrowForWarnings) {
  Diagnostics diagnostics;

  diagnostics.warn({"old", {"a", 1, 1}, "", ""});

  EXPECT_NO_THROW(diagnostics.throw_if_any());
  EXPECT_EQ(diagnostics.warnings().size(), 1u);
}

TEST(Diagnostics, SaysNothingOfMissingKeysOnceThereAreGaps) {
  Diagnostics diagnostics;
  diagnostics.expect_gaps();

  diagnostics.missing({"no name", {}, "name", ""});

  EXPECT_TRUE(diagnostics.ok());
}

TEST(Diagnostics, ShowsFiftyAndCountsTheRest) {
  Diagnostics diagnostics;
  for (int i = 1; i <= 60; ++i) diagnostics.error({"bad", {"a", i, 1}, "", ""});

  const std::string text = diagnostics.text();

  EXPECT_NE(text.find("a:50:1"), std::string::npos);
  EXPECT_EQ(text.find("a:51:1"), std::string::npos);
  EXPECT_NE(text.find("and 10 more problems"), std::string::npos);
}

TEST(Diagnostics, CutsLongTextsBetweenCharacters) {
  std::string key;
  for (int i = 0; i < 300; ++i) key += "\xc3\xa9";

  const std::string text = to_string(Problem{"x" + key, {}, "", ""});

  EXPECT_EQ(text.substr(text.size() - 5), "\xc3\xa9...");
  EXPECT_LT(text.size(), 410u);
}

}  // namespace
}  // namespace qtk::config
