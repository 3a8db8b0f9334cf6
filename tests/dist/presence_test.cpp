#include "dist/presence.hpp"

#include "ranks.hpp"

namespace qtk::dist {
namespace {

/// After half a second a rank counts as lost and a step as hung.
Timeouts short_timeouts() {
  return {.heartbeat = Seconds(0.05),
          .missed = 10,
          .operation = Seconds(5),
          .step_factor = 2,
          .step_floor = Seconds(0.5),
          .rendezvous = Seconds(20)};
}

class PresenceTest : public ::testing::Test {
 protected:
  static constexpr int kRanks = 3;

  PresenceTest() {
    for (int rank = 0; rank < kRanks; ++rank)
      present_.push_back(std::make_unique<Presence>(
          store_, ranks_.mesh(rank), ranks_.timeouts(),
          [losses = losses_, rank](const std::string& why) { losses->add(rank, why); }));
  }
  Presence& of(int rank) { return *present_[static_cast<size_t>(rank)]; }
  /// The end of a process that says nothing.
  void silence(int rank) { present_[static_cast<size_t>(rank)].reset(); }
  /// Until rank 0 can read `text` of another.
  bool await_report(const std::string& text) {
    for (int i = 0; i < 1000; ++i) {
      if (contains(of(0).report(), text)) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
  }
  void expect_no_losses() const {
    for (int rank = 0; rank < kRanks; ++rank)
      for (const auto& sentence : losses_->of(rank)) ADD_FAILURE() << rank << ": " << sentence;
  }
  static void wait_beyond_the_limit() {
    std::this_thread::sleep_for(std::chrono::milliseconds(700));
  }

  const Ranks ranks_{1, kRanks, short_timeouts()};
  const RunStore store_ = ranks_.store();
  const std::shared_ptr<LossLog> losses_ = std::make_shared<LossLog>();
  std::vector<std::unique_ptr<Presence>> present_;
};

TEST_F(PresenceTest, ARankThatGoesSilentIsReportedByAllOthersOnce) {
  of(1).set_step(7);
  of(1).begin("receive forward micro-batch 3 from rank 0 (stage 0)");
  ASSERT_TRUE(await_report("receive forward micro-batch 3"));

  silence(1);

  for (const int rank : {0, 2}) {
    const std::string sentence = losses_->await(rank);
    EXPECT_TRUE(sentence.starts_with("rank 1 (stage 1) is lost: no sign of life for ")) << sentence;
    EXPECT_TRUE(sentence.ends_with(
        "; last it was at step 7, receive forward micro-batch 3 from rank 0 (stage 0)"))
        << sentence;
  }
  wait_beyond_the_limit();
  EXPECT_EQ(losses_->of(0).size(), 1u);
  EXPECT_EQ(losses_->of(2).size(), 1u);
}

TEST_F(PresenceTest, RankZeroIsWatchedByAllOthers) {
  silence(0);

  for (const int rank : {1, 2})
    EXPECT_TRUE(losses_->await(rank).starts_with("rank 0 (stage 0) is lost")) << rank;
}

TEST_F(PresenceTest, AReasonToEndIsPassedOn) {
  of(2).fail("the disk is full");

  for (const int rank : {0, 1})
    EXPECT_EQ(losses_->await(rank), "rank 2 (stage 2) stopped: the disk is full");
  EXPECT_TRUE(losses_->of(2).empty());
}

TEST_F(PresenceTest, WhoLeavesIsNotTakenForLost) {
  of(1).leave();
  wait_beyond_the_limit();

  in_threads(2, [&](int i) { of(2 * i).leave(); });

  expect_no_losses();
}

TEST_F(PresenceTest, RankZeroWaitsForTheOthersBeforeItIsGone) {
  std::atomic<bool> has_left = false;
  std::thread chief([&] {
    of(0).leave();
    has_left = true;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  const bool was_early = has_left;
  for (const int rank : {1, 2}) of(rank).leave();
  chief.join();

  EXPECT_FALSE(was_early);
  expect_no_losses();
}

TEST_F(PresenceTest, AStepThatHangsIsReportedWithWhatEveryRankDoes) {
  for (int rank = 0; rank < kRanks; ++rank) {
    for (int i = 0; i < 3; ++i) of(rank).step_finished(Seconds(0.01));
    of(rank).set_step(4);
    of(rank).begin("operation " + std::to_string(rank) + "x");
  }

  for (int rank = 0; rank < kRanks; ++rank) {
    const std::string sentence = losses_->await(rank);
    EXPECT_TRUE(sentence.starts_with("step 4 hangs: it has taken ")) << sentence;
    EXPECT_TRUE(contains(sentence, "the limit is 0.5 s")) << sentence;
    for (int other = 0; other < kRanks; ++other)
      EXPECT_TRUE(contains(sentence, ranks_.mesh(0).name_of(other) + ": step 4, operation " +
                                         std::to_string(other) + "x, for "))
          << sentence;
  }
}

TEST_F(PresenceTest, WhatIsDoneBetweenStepsMayTakeAsLongAsItNeeds) {
  for (int rank = 0; rank < kRanks; ++rank) {
    of(rank).set_step(1);
    of(rank).step_finished(Seconds(0.01));
  }
  wait_beyond_the_limit();

  expect_no_losses();
}

}  // namespace
}  // namespace qtk::dist
