#include "dist/schedule.hpp"

#include "ranks.hpp"

#include <algorithm>

namespace qtk::dist {
namespace {

constexpr ScheduleKind kBoth[] = {ScheduleKind::kGpipe, ScheduleKind::k1f1b};

/// "F0 F1 B0 B1".
std::string text_of(const std::vector<Op>& ops) {
  std::string text;
  for (const Op& op : ops)
    text += (text.empty() ? "" : " ") + std::string(op.kind == OpKind::kForward ? "F" : "B") +
            std::to_string(op.micro_batch);
  return text;
}

std::vector<std::vector<Op>> all_stages(ScheduleKind kind, int64_t stages, int64_t micro_batches) {
  std::vector<std::vector<Op>> lists;
  for (int64_t stage = 0; stage < stages; ++stage)
    lists.push_back(schedule_ops(kind, stages, stage, micro_batches));
  return lists;
}

/// What check_schedule says of 1F1B on three stages with four micro-batches after a change.
std::string refusal(const std::function<void(std::vector<std::vector<Op>>&)>& change) {
  auto lists = all_stages(ScheduleKind::k1f1b, 3, 4);
  change(lists);
  return sentence_of([&] { check_schedule(lists); });
}

TEST(ScheduleTest, GpipeDoesAllForwardsFirst) {
  for (const int64_t stage : {0, 1, 2})
    EXPECT_EQ(text_of(schedule_ops(ScheduleKind::kGpipe, 3, stage, 2)), "F0 F1 B0 B1");
}

TEST(ScheduleTest, OneForwardOneBackwardFillsThePipelineFirst) {
  const auto lists = all_stages(ScheduleKind::k1f1b, 3, 4);

  EXPECT_EQ(text_of(lists[0]), "F0 F1 F2 B0 F3 B1 B2 B3");
  EXPECT_EQ(text_of(lists[1]), "F0 F1 B0 F2 B1 F3 B2 B3");
  EXPECT_EQ(text_of(lists[2]), "F0 B0 F1 B1 F2 B2 F3 B3");
  EXPECT_EQ(text_of(schedule_ops(ScheduleKind::k1f1b, 4, 0, 2)), "F0 F1 B0 B1");
  EXPECT_EQ(text_of(schedule_ops(ScheduleKind::k1f1b, 1, 0, 2)), "F0 B0 F1 B1");
}

TEST(ScheduleTest, EverySizeCanBeCarriedOutAndHoldsWhatItsKindSays) {
  for (const auto kind : kBoth)
    for (int64_t stages = 1; stages <= 6; ++stages)
      for (int64_t micro_batches = 1; micro_batches <= 8; ++micro_batches) {
        SCOPED_TRACE(::testing::Message() << stages << " x " << micro_batches);
        const auto lists = all_stages(kind, stages, micro_batches);
        EXPECT_NO_THROW(check_schedule(lists));
        for (int64_t stage = 0; stage < stages; ++stage)
          EXPECT_EQ(peak_micro_batches(lists[static_cast<size_t>(stage)]),
                    kind == ScheduleKind::kGpipe ? micro_batches
                                                 : std::min(stages - stage, micro_batches));
      }
}

TEST(ScheduleTest, AMissingOperationIsFound) {
  EXPECT_TRUE(contains(refusal([](auto& lists) { lists[1].pop_back(); }),
                       "stage 1 has 4 forward and 3 backward passes"));
  EXPECT_TRUE(contains(refusal([](auto& lists) { lists[2].erase(lists[2].begin()); }),
                       "stage 2 has backward(0) before its forward pass"));
}

TEST(ScheduleTest, ADoubledOperationIsFound) {
  EXPECT_TRUE(
      contains(refusal([](auto& lists) { lists[0].insert(lists[0].begin(), lists[0].front()); }),
               "stage 0 has forward(0) where micro-batch 1 is due"));
}

TEST(ScheduleTest, AnotherOrderOfMicroBatchesIsFound) {
  EXPECT_TRUE(contains(refusal([](auto& lists) { std::swap(lists[1][0], lists[1][1]); }),
                       "stage 1 has forward(1) where micro-batch 0 is due"));
}

TEST(ScheduleTest, StagesThatWaitForEachOtherAreFound) {
  // Stage 0 wants the first gradient before it sends what stage 1 needs for it.
  const std::vector<std::vector<Op>> lists = {{{OpKind::kForward, 0},
                                               {OpKind::kBackward, 0},
                                               {OpKind::kForward, 1},
                                               {OpKind::kBackward, 1}},
                                              {{OpKind::kForward, 0},
                                               {OpKind::kForward, 1},
                                               {OpKind::kBackward, 0},
                                               {OpKind::kBackward, 1}}};

  const std::string sentence = sentence_of([&] { check_schedule(lists); });

  EXPECT_TRUE(contains(sentence, "stage 0 waits for the message of backward(0)")) << sentence;
}

TEST(ScheduleTest, OnlyTwoNamesAreKnown) {
  EXPECT_EQ(schedule_from("gpipe"), ScheduleKind::kGpipe);
  EXPECT_EQ(schedule_from("1f1b"), ScheduleKind::k1f1b);
  EXPECT_THROW(schedule_from("zigzag"), ConfigError);
  EXPECT_THROW(schedule_ops(ScheduleKind::kGpipe, 2, 2, 1), Error);
  EXPECT_THROW(schedule_ops(ScheduleKind::kGpipe, 2, 0, 0), Error);
}

}  // namespace
}  // namespace qtk::dist
