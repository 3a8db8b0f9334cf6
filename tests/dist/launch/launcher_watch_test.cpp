// Watching workers: hangs, signals to the launcher, the launcher's own death.
#include "launcher_fixture.hpp"

namespace qtk::dist {
namespace {

class WatchTest : public LauncherTest {
 protected:
  /// One worker that does these words (tests/dist/worker_program.cpp); the others do `others`.
  LaunchPlan program(const std::string& words, const std::string& others = "sleep 20") {
    return shell(2, "if [ $QTK_RANK = 1 ]; then exec " QTK_WORKER_PROGRAM " " + words +
                        "; fi; exec " + others);
  }
};

TEST_F(WatchTest, AWorkerThatStaysStoppedHangs) {
  auto plan = shell(2, "[ $QTK_RANK = 1 ] && kill -STOP $$; sleep 20 & wait");
  plan.heartbeat_s = 0.3;

  const auto result = run(plan);

  EXPECT_EQ(result.code, 76);
  expect_parts(result.err, {"worker rank 1 (pid ", "hangs: it is stopped by a signal", "thread ",
                            " sh: stopped by a signal", "rank 0 (pid "});
}

TEST_F(WatchTest, AShortStopLosesNothing) {
  auto plan = shell(2, "(sleep 0.3; kill -CONT $$) & kill -STOP $$; wait; echo went on");

  const auto result = run(plan);

  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "went on\n");
}

TEST_F(WatchTest, ASilentHeartbeatIsAHangInItsLastOperation) {
  auto plan = program("beat 'begin=backward micro-batch 3' sleep=0.1 quiet sleep=20");
  plan.heartbeat_s = 0.4;

  const auto result = run(plan);

  EXPECT_EQ(result.code, 76);
  expect_parts(result.err, {"worker rank 1 (pid ", "hangs: no heartbeat for 0.",
                            "last in 'backward micro-batch 3' of step 12, begun "});
}

TEST_F(WatchTest, AHeartbeatThatWasEndedProperlyIsNone) {
  auto plan = program("beat begin=finish sleep=0.1 leave sleep=0.8", "true");
  plan.heartbeat_s = 0.3;

  EXPECT_EQ(run(plan).code, 0);
}

TEST_F(WatchTest, AnOperationBeyondItsLimitIsAHangThoughTheHeartBeats) {
  auto plan = program("beat limit=0.3 'begin=all-reduce of gradients' sleep=20");

  const auto result = run(plan);

  EXPECT_EQ(result.code, 76);
  expect_parts(result.err, {"worker rank 1", "its operation takes longer than the limit",
                            "'all-reduce of gradients' of step 12"});
}

TEST_F(WatchTest, SurvivorsLearnWhoIsLost) {
  auto plan = shell(2, "trap '' TERM; [ $QTK_RANK = 1 ] && exec " QTK_WORKER_PROGRAM
                       " await-loss; sleep 0.2; kill -9 $$");
  plan.kill_s = 60;  // so it is not the kill that ends it

  const auto result = run(plan);

  EXPECT_EQ(result.code, 76);
  expect_parts(result.err, {"worker rank 0 (pid ", "was killed by signal 9"});
}

TEST_F(WatchTest, ASignalReachesEveryWorkerOnceAndAllSave) {
  struct Case {
    int signal, code;
    std::string name, sentence;
  };
  for (const auto& [signal, code, name, sentence] :
       {Case{SIGTERM, 75, "TERM", "asked to stop; all workers stopped"},
        Case{SIGUSR1, 75, "USR1", "asked to stop; all workers stopped"},
        Case{SIGINT, 130, "INT", "interrupted; all workers stopped"}}) {
    SCOPED_TRACE(name);
    start(shell(2, "trap 'echo " + name + " >> %/got.$QTK_RANK; exit " + std::to_string(code) +
                       "' " + name + "; echo > %/ready." + name +
                       ".$QTK_RANK; while :; do sleep 0.02; done"));
    ASSERT_TRUE(becomes_true(
        [&] { return exists("ready." + name + ".0") && exists("ready." + name + ".1"); }));

    send(signal);
    const auto result = finish();

    EXPECT_EQ(result.code, code) << result.err;
    expect_parts(result.err, {sentence, "run the same command again"});
    for (const char* rank : {"0", "1"}) {
      EXPECT_EQ(content_of(scratch_ / (std::string("got.") + rank)), name + "\n");
      std::filesystem::remove(scratch_ / (std::string("got.") + rank));
    }
  }
}

TEST_F(WatchTest, WorkersThatFinishInsteadOfStoppingAreASuccess) {
  start(shell(2, "trap 'exit 0' TERM; echo > %/ready.$QTK_RANK; while :; do sleep 0.02; done"));
  ASSERT_TRUE(becomes_true([&] { return exists("ready.0") && exists("ready.1"); }));

  send(SIGTERM);

  EXPECT_EQ(finish().code, 0);
}

TEST_F(WatchTest, ASecondSignalKillsAndSaysWhatIsLost) {
  start(shell(2,
              "trap 'echo > %/saving.$QTK_RANK' TERM; echo > %/ready.$QTK_RANK; "
              "while :; do sleep 0.02; done"));
  ASSERT_TRUE(becomes_true([&] { return exists("ready.0") && exists("ready.1"); }));
  send(SIGTERM);
  ASSERT_TRUE(becomes_true([&] { return exists("saving.0") && exists("saving.1"); }));

  send(SIGTERM);
  const auto result = finish();

  EXPECT_EQ(result.code, 75);
  expect_parts(result.err, {"asked to stop again", "steps after the last checkpoint are lost"});
}

TEST_F(WatchTest, TheTimeForSavingEnds) {
  auto plan = shell(2, "trap '' INT; echo > %/ready.$QTK_RANK; while :; do sleep 0.02; done");
  plan.grace_s = 0.2;
  start(plan);
  ASSERT_TRUE(becomes_true([&] { return exists("ready.0") && exists("ready.1"); }));

  send(SIGINT);
  const auto result = finish();

  EXPECT_EQ(result.code, 130);
  expect_parts(result.err, {"the time for saving is over", "interrupted", "are lost"});
}

TEST_F(WatchTest, AFailureWhileSavingIsTheCauseAndNotRestarted) {
  auto plan = shell(2,
                    "trap 'echo >> %/starts; kill -9 $$' TERM; echo > %/ready.$QTK_RANK; "
                    "while :; do sleep 0.02; done");
  plan.restarts = 3;
  start(plan);
  ASSERT_TRUE(becomes_true([&] { return exists("ready.0") && exists("ready.1"); }));

  send(SIGTERM);
  const auto result = finish();

  EXPECT_EQ(result.code, 76);
  expect_parts(result.err, {"was killed by signal 9"});
  EXPECT_EQ(result.err.find("started again"), result.err.npos);
}

TEST_F(WatchTest, WorkersThatAgreedToStopAreNotDisturbed) {
  const auto result =
      run(shell(2, "trap 'exit 9' TERM; [ $QTK_RANK = 0 ] && exit 75; sleep 0.2; exit 75"));

  EXPECT_EQ(result.code, 75) << result.err;
}

TEST_F(WatchTest, ALauncherThatIsKilledLeavesNoProcessBehind) {
  // The workers' children are neither theirs nor the launcher's to end once both are dead.
  start(shell(2, "sleep 100 & echo $! > %/child.$QTK_RANK; echo $$ > %/worker.$QTK_RANK; wait"));
  const std::vector<std::string> names = {"child.0", "child.1", "worker.0", "worker.1"};
  for (const auto& name : names)
    ASSERT_TRUE(becomes_true([&] { return has_content(name); })) << name;

  send(SIGKILL);
  finish();

  for (const auto& name : names)
    EXPECT_TRUE(becomes_true([&] { return !is_alive(pid_in(name)); })) << name;
}

TEST_F(WatchTest, WhatAWorkerLeavesRunningEndsWithIt) {
  const auto result = run(shell(1, "sleep 100 & echo $! > %/child"));

  EXPECT_EQ(result.code, 0);
  EXPECT_TRUE(becomes_true([&] { return !is_alive(pid_in("child")); }));
}

}  // namespace
}  // namespace qtk::dist
