#include "text/wikitext.hpp"

#include <gtest/gtest.h>

namespace qtk::text {
namespace {

using Pages = std::vector<std::string>;

TEST(WikitextPages, StartAtHeadingsOfTheFirstLevel) {
  EXPECT_EQ(
      wikitext_pages(
          " \n = One = \n \n = = Part = = \n text \n = = = Sub = = = \n = Two = \n a = b \n"),
      (Pages{" = One = \n \n = = Part = = \n text \n = = = Sub = = = ", " = Two = \n a = b \n"}));
  EXPECT_EQ(wikitext_pages("preface\n = One = "), (Pages{"preface", " = One = "}));
  EXPECT_EQ(wikitext_pages(""), Pages());
}

TEST(WikitextPages, PutTheJoinedRowsOfTheDataSetBackIntoTheDistributedForm) {
  // Rows "", " = One = \n", "", " a \n", " b \n", "" joined by "\n\n".
  EXPECT_EQ(wikitext_pages("\n\n = One = \n\n\n\n\n a \n\n\n b \n\n\n"),
            (Pages{" = One = \n \n a \n b \n \n"}));
}

struct Rule {
  const char* name;
  const char* page;
  const char* expected;
};

// Vectors made by hand from the list of replacements in the harness (lm_eval/tasks/wikitext).
TEST(DetokenizeWikitext, UndoesEachKindOfSpacing) {
  const Rule rules[] = {
      {"plural genitive", "the boys ' room", "the boys' room"},
      {"genitive", "it 's", "it's"},
      {"hyphen", "guest @-@ starring", "guest-starring"},
      {"thousands", "1 @,@ 000", "1,000"},
      {"decimals", "3 @.@ 5", "3.5"},
      {"colon", "a : b", "a: b"},
      {"semicolon", "a ; b", "a; b"},
      {"full stop", "a . b", "a. b"},
      {"exclamation", "a ! b", "a! b"},
      {"question", "a ? b", "a? b"},
      {"comma", "a , b", "a, b"},
      {"no space behind", "a .", "a ."},
      {"parentheses", "f ( x\n )", "f (x)"},
      {"nested parentheses", "( a ( b ) c )", "(a ( b) c )"},
      {"open parenthesis", "( a", "( a"},
      {"empty parentheses", "(  )", "()"},
      {"brackets", "[ a ]", "[a]"},
      {"braces", "{ a }", "{a}"},
      {"quotes", "\" a \" and \" b \"", "\"a\" and \"b\""},
      {"odd quote", "\" a \" and \" b", "\"a\" and \" b"},
      {"single quotes", "' a '", "'a'"},
      {"heading", " = Title = \n", " = Title =\n"},
      {"heading of level 2", " = = Part = = \n", " == Part ==\n"},
      {"heading of level 3", "= = = Sub = = =", "=== Sub ==="},
      {"heading of level 4", "= = = = Sub = = = =", "==== Sub ===="},
      {"degree", "5 \xc2\xb0 C",
       "5\xc2\xb0"
       "C"},
      {"line ends", "a \n b", "a\nb"},
      {"number sign", "a N b", "a 1 b"},
      {"slashed digit", "x/' 5/y", "x/'[0-9]/y"},
      {"wide space in brackets",
       "(\xe2\x80\x83"
       "a )",
       "(a)"},
  };
  for (const Rule& rule : rules)
    EXPECT_EQ(detokenize_wikitext(rule.page), rule.expected) << rule.name;
}

TEST(DetokenizeWikitext, AppliesItsRulesOnceFromTheLeft) {
  EXPECT_EQ(detokenize_wikitext("a , , b"), "a, , b");
  EXPECT_EQ(detokenize_wikitext(" Boulter 's \" role \" ( 2000 ) , he said : \" No \" . "),
            " Boulter's \"role\" (2000), he said: \"No\". ");
}

TEST(CountWords, CountsAsPythonsSplitOnWhiteSpace) {
  EXPECT_EQ(count_words(""), 1);
  EXPECT_EQ(count_words("a"), 1);
  EXPECT_EQ(count_words("a b\n\n c"), 3);
  EXPECT_EQ(count_words(" a "), 3);
  EXPECT_EQ(count_words("  "), 2);
  EXPECT_EQ(count_words("a\xc2\xa0"
                        "b\x1c"
                        "c\xe2\x80\x8b"
                        "d"),
            3);  // no-break space, separator, zero width space
}

}  // namespace
}  // namespace qtk::text
