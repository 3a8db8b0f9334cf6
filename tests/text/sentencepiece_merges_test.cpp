#include "text/sentencepiece_merges.hpp"

#include <gtest/gtest.h>

namespace qtk::text {
namespace {

// What transformers' generate_merges gives for the same pieces and scores.
TEST(SentencepieceMerges, ListEverySplitOfAPieceBestScoreFirst) {
  const std::vector<std::string> pieces = {"a",   "b",          "\xc3\xa9",  "ab",  "aa",
                                           "aaa", "ab\xc3\xa9", "b\xc3\xa9", "lost"};
  const std::vector<double> scores = {-9, -9, -9, -1, -2, -3, -4, 0, -5};

  const MergeList expected = {{"b", "\xc3\xa9"}, {"a", "b"},         {"a", "a"},        {"aa", "a"},
                              {"a", "aa"},       {"ab", "\xc3\xa9"}, {"a", "b\xc3\xa9"}};
  EXPECT_EQ(merges_from_scores(pieces, scores), expected);
}

TEST(SentencepieceMerges, EqualScoresPutTheLongerLeftPartFirst) {
  const std::vector<std::string> pieces = {"x", "y", "xx", "xy", "xxx"};

  EXPECT_EQ(merges_from_scores(pieces, {0, 0, -1, -1, -1}),
            (MergeList{{"xx", "x"}, {"x", "xx"}, {"x", "x"}, {"x", "y"}}));
}

TEST(SentencepieceMerges, ScoresOfMergesRebuildThem) {
  const std::vector<std::string> pieces = {"<unk>", "a", "b", "ab", "bb", "abb", "aab"};
  const MergeList merges = merges_from_scores(pieces, {0, -9, -9, -3, -1, -4, -2});

  const auto scores = scores_from_merges(pieces, merges);

  EXPECT_EQ(merges_from_scores(pieces, scores), merges);
  EXPECT_EQ(scores[4], 0);  // "bb" results first
  EXPECT_LT(scores[1], scores[5]);
}

TEST(SplitMerge, TakesExactlyTwoTokens) {
  EXPECT_EQ(split_merge("a bc"), (std::pair<std::string_view, std::string_view>("a", "bc")));
  for (const char* bad : {"", "a", " a", "a ", "a b c", "a  b"})
    EXPECT_FALSE(split_merge(bad)) << bad;
}

}  // namespace
}  // namespace qtk::text
