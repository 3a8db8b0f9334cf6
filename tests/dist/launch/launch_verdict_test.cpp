#include "dist/launch/launch_verdict.hpp"

#include <gtest/gtest.h>

#include <csignal>

namespace qtk::dist {
namespace {

WorkerEnd exited(int rank, int code, int round = 1) {
  return {.rank = rank,
          .pid = 100 + rank,
          .process = {.exit_code = code, .signal = 0},
          .round = round,
          .hang = {},
          .row = {}};
}

WorkerEnd killed(int rank, int signal, int round = 1) {
  return {.rank = rank,
          .pid = 100 + rank,
          .process = {.exit_code = -1, .signal = signal},
          .round = round,
          .hang = {},
          .row = {}};
}

WorkerEnd told(WorkerEnd end) {
  end.was_told_to = true;
  return end;
}

TEST(LaunchVerdictTest, AllWellIsNoSentence) {
  const auto verdict = judge({exited(0, 0), exited(1, 0)}, 0);

  EXPECT_EQ(verdict.code, 0);
  EXPECT_EQ(verdict.sentence, "");
}

TEST(LaunchVerdictTest, TheEarliestFailureIsTheCause) {
  EXPECT_EQ(judge({exited(0, 4, 9), exited(1, 79, 8)}, 0).code, 79);
  EXPECT_EQ(judge({exited(0, 79, 8), killed(1, SIGABRT, 9)}, 0).code, 79);
}

TEST(LaunchVerdictTest, ALostPeerIsTheCauseOnlyIfNothingElseIs) {
  EXPECT_EQ(judge({exited(0, 76, 1), exited(1, 5, 9)}, 0).code, 5);
  const auto alone = judge({exited(0, 76, 1), told(exited(1, 75, 9))}, 0);
  EXPECT_EQ(alone.code, 76);
  EXPECT_TRUE(alone.is_retryable);
}

TEST(LaunchVerdictTest, OfFailuresNoticedTogetherTheCrashIsTheCause) {
  const auto verdict = judge({exited(0, 1), exited(1, 4), killed(2, SIGSEGV)}, 0);

  EXPECT_EQ(verdict.code, 76);
  EXPECT_TRUE(verdict.is_retryable);
  EXPECT_NE(verdict.sentence.find("worker rank 2 (pid 102) was killed by signal 11"),
            verdict.sentence.npos)
      << verdict.sentence;
  EXPECT_EQ(judge({exited(0, 1), exited(1, 4)}, 0).code, 4) << "1 says least";
}

TEST(LaunchVerdictTest, WhatTheLauncherDidIsNoCause) {
  const auto verdict = judge({told(killed(0, SIGTERM, 1)), exited(1, 3, 9)}, 0);

  EXPECT_EQ(verdict.code, 3);
  EXPECT_FALSE(verdict.is_retryable);
}

TEST(LaunchVerdictTest, AHangIsNamedWithItsLastOperation) {
  auto hung = told(killed(1, SIGKILL));
  hung.hang = "no heartbeat for 5.1 s";
  hung.row.operation = "recv forward micro-batch 3 from stage 0";
  hung.row.step = 12;
  hung.row.operation_age_s = 5.31;

  const auto verdict = judge({told(killed(0, SIGKILL)), hung}, 0);

  EXPECT_EQ(verdict.code, 76);
  EXPECT_EQ(verdict.sentence,
            "worker rank 1 (pid 101) hangs: no heartbeat for 5.1 s, last in 'recv forward "
            "micro-batch 3 from stage 0' of step 12, begun 5.3 s before");
}

TEST(LaunchVerdictTest, AStopSaysWhetherAnythingIsLost) {
  const auto saved = judge({exited(0, 75), exited(1, 0)}, SIGTERM),
             lost = judge({exited(0, 130), told(killed(1, SIGKILL))}, SIGINT),
             agreed = judge({exited(0, 130), exited(1, 130)}, 0);

  EXPECT_EQ(saved.code, 75);
  EXPECT_EQ(saved.sentence, "asked to stop; all workers stopped");
  EXPECT_EQ(lost.code, 130);
  EXPECT_NE(lost.sentence.find("are lost"), lost.sentence.npos);
  EXPECT_EQ(agreed.code, 130);
  EXPECT_FALSE(saved.is_retryable || lost.is_retryable || agreed.is_retryable);
}

}  // namespace
}  // namespace qtk::dist
