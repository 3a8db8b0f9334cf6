#include "text/split.hpp"

#include "text_fixtures.hpp"

namespace qtk::text {
namespace {

using testing::Field;
using testing::message_of;

std::string split_as(const std::string& behavior, const std::string& text,
                     bool is_inverted = false) {
  const Field field("\"" + behavior + "\"");
  const Splitter splitter(Pattern::regex("-", *field), read_split_behavior(*field), is_inverted);
  Pieces pieces{text, {{0, text.size()}}, true};
  splitter.split(pieces);
  std::string joined;
  for (const Range& range : pieces.ranges)
    (joined += joined.empty() ? "" : "|") += pieces.view(range);
  return joined;
}

// The examples in the documentation of the `tokenizers` package.
TEST(Splitter, TreatsMatchesAsTheBehaviorSays) {
  const std::string text = "the-final--countdown";

  EXPECT_EQ(split_as("Removed", text), "the|final|countdown");
  EXPECT_EQ(split_as("Isolated", text), "the|-|final|-|-|countdown");
  EXPECT_EQ(split_as("MergedWithPrevious", text), "the-|final-|-|countdown");
  EXPECT_EQ(split_as("MergedWithNext", text), "the|-final|-|-countdown");
  EXPECT_EQ(split_as("Contiguous", text), "the|-|final|--|countdown");
}

TEST(Splitter, KeepsMatchesAtTheEnds) {
  EXPECT_EQ(split_as("MergedWithPrevious", "-a-"), "-|a-");
  EXPECT_EQ(split_as("MergedWithNext", "-a-"), "-a|-");
  EXPECT_EQ(split_as("Contiguous", "--"), "--");
  EXPECT_EQ(split_as("Removed", "--"), "");
}

TEST(Splitter, InvertedTakesTheTextBetweenForTheMatches) {
  EXPECT_EQ(split_as("Removed", "a-b--c", true), "-|-|-");
  EXPECT_EQ(split_as("MergedWithPrevious", "a-b", true), "a|-b");
}

TEST(Splitter, SplitsEveryPieceOnItsOwn) {
  const Field field(R"("Isolated")");
  const Splitter splitter(Pattern::regex("^a", *field), SplitBehavior::kIsolated);
  Pieces pieces{"aaaa", {{0, 2}, {3, 4}}, true};

  splitter.split(pieces);

  EXPECT_EQ(pieces.ranges, (std::vector<Range>{{0, 1}, {1, 2}, {3, 4}}));
}

TEST(Splitter, NamesAnUnknownBehavior) {
  const Field field(R"("isolated")");

  EXPECT_EQ(message_of([&] { read_split_behavior(*field); }),
            "t.json: `field` is `isolated`, expected Isolated, Removed, MergedWithPrevious, "
            "MergedWithNext or Contiguous");
}

}  // namespace
}  // namespace qtk::text
