#include "config/site_pattern.hpp"

#include <qtk/runtime/error.hpp>

#include <gtest/gtest.h>

namespace qtk::config {
namespace {

TEST(SitePattern, MatchesTheWholeName) {
  const SitePattern projections("re:.*\\.[qkv]_proj");

  EXPECT_TRUE(projections.matches("model.layers.3.self_attn.q_proj"));
  EXPECT_FALSE(projections.matches("model.layers.3.self_attn.q_proj.extra"));
  EXPECT_FALSE(projections.matches("q_proj"));
  EXPECT_FALSE(SitePattern("re:lm").matches("lm_head"));
  EXPECT_FALSE(SitePattern("re:a|ab").matches("abc"));
  EXPECT_TRUE(SitePattern("re:a|ab").matches("ab"));
}

TEST(SitePattern, ComparesANameWithoutPrefixAsItIs) {
  const SitePattern head("lm_head");

  EXPECT_TRUE(head.matches("lm_head"));
  EXPECT_FALSE(head.matches("lm_headx"));
  EXPECT_FALSE(SitePattern("a.b").matches("aXb"));
}

TEST(SitePattern, RefusesWhatIsNeitherNameNorExpression) {
  const struct {
    const char* text;
    const char* sentence;
    const char* remedy;
  } cases[] = {
      {"*_proj", "`*_proj` is no site name",
       "a regular expression starts with `re:`, for example re:.*_proj"},
      {"", "`` is no site name", "a regular expression starts with `re:`, for example re:.*_proj"},
      {"re:", "the regular expression is empty", "to match every site write  re:.*"},
      {"re:a(b",
       "`re:a(b` is no valid regular expression: missing closing parenthesis at character 4",
       "the syntax is Perl's; escape a literal point as \\."},
      {"re:*",
       "`re:*` is no valid regular expression: quantifier does not follow a repeatable item at "
       "character 1",
       "the syntax is Perl's; escape a literal point as \\."},
  };
  for (const auto& c : cases) {
    try {
      SitePattern pattern(c.text);
      ADD_FAILURE() << c.text << " was accepted";
    } catch (const ConfigError& error) {
      EXPECT_STREQ(error.what(), c.sentence);
      EXPECT_EQ(error.remedy(), c.remedy);
    }
  }
  EXPECT_THROW(SitePattern("re:" + std::string(5000, 'a')), ConfigError);
}

TEST(SitePattern, GivesUpOnAnExpressionThatExplodes) {
  const SitePattern pattern("re:(a+)+[bc]");

  EXPECT_TRUE(pattern.matches("aaaab"));
  EXPECT_THROW(pattern.matches(std::string(60, 'a')), ConfigError);
}

TEST(AnyMatches, LooksAtEveryPattern) {
  const auto patterns = compile_patterns({"lm_head", "re:.*down_proj"});

  EXPECT_TRUE(any_matches(patterns, "lm_head"));
  EXPECT_TRUE(any_matches(patterns, "x.down_proj"));
  EXPECT_FALSE(any_matches(patterns, "x.up_proj"));
  EXPECT_FALSE(any_matches({}, "lm_head"));
}

}  // namespace
}  // namespace qtk::config
