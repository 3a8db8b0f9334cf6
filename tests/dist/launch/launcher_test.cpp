// Starting workers: what they are given, what they print, how their ends are told.
#include "launcher_fixture.hpp"

#include <map>

namespace qtk::dist {
namespace {

std::map<std::string, std::string> variables_in(const std::filesystem::path& path) {
  std::map<std::string, std::string> variables;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);)
    if (const size_t at = line.find('='); at != line.npos)
      variables[line.substr(0, at)] = line.substr(at + 1);
  return variables;
}

TEST_F(LauncherTest, EveryWorkerGetsItsPlaceAndTheSameMeetingPoint) {
  ::unsetenv("OMP_NUM_THREADS");
  ::unsetenv("OMP_WAIT_POLICY");
  const auto result = run(shell(3, "env > %/env.$QTK_RANK"));

  EXPECT_EQ(result.code, 0) << result.err;
  const auto first = variables_in(scratch_ / "env.0");
  for (int rank = 0; rank < 3; ++rank) {
    const auto variables = variables_in(scratch_ / ("env." + std::to_string(rank)));
    EXPECT_EQ(variables.at("QTK_RANK"), std::to_string(rank));
    EXPECT_EQ(variables.at("QTK_LOCAL_RANK"), std::to_string(rank));
    EXPECT_EQ(variables.at("QTK_WORLD_SIZE"), "3");
    EXPECT_EQ(variables.at("QTK_LOCAL_WORLD_SIZE"), "3");
    EXPECT_EQ(variables.at("QTK_MASTER_ADDR"), "127.0.0.1");
    EXPECT_EQ(variables.at("QTK_ATTEMPT"), "0");
    EXPECT_EQ(variables.at("OMP_WAIT_POLICY"), "passive");
    EXPECT_GE(std::stoi(variables.at("OMP_NUM_THREADS")), 1);
    for (const char* shared : {"QTK_MASTER_PORT", "QTK_RUN_ID", "QTK_BOARD_FD"})
      EXPECT_EQ(variables.at(shared), first.at(shared));
  }
}

TEST_F(LauncherTest, ASecondMachineGoesOnCountingAndMeetsAtTheRendezvous) {
  auto plan = shell(2, "env > %/env.$QTK_RANK");
  plan.nodes = 3;
  plan.node_rank = 2;
  plan.rendezvous_host = "node03";
  plan.rendezvous_port = 29500;

  ASSERT_EQ(run(plan).code, 0);

  const auto variables = variables_in(scratch_ / "env.5");
  EXPECT_EQ(variables.at("QTK_WORLD_SIZE"), "6");
  EXPECT_EQ(variables.at("QTK_LOCAL_RANK"), "1");
  EXPECT_EQ(variables.at("QTK_MASTER_ADDR"), "node03");
  EXPECT_EQ(variables.at("QTK_MASTER_PORT"), "29500");
  EXPECT_EQ(variables.at("QTK_RUN_ID"), "node03:29500");
}

TEST_F(LauncherTest, VariablesOfTheUserStay) {
  ::setenv("OMP_NUM_THREADS", "7", 1);
  const auto result = run(shell(2, "echo $OMP_NUM_THREADS"));
  ::unsetenv("OMP_NUM_THREADS");

  EXPECT_EQ(result.out, "7\n");
}

TEST_F(LauncherTest, Rank0PrintsAsItIsAndTheOthersLineByLineWithTheirName) {
  const auto result = run(shell(2,
                                "if [ $QTK_RANK = 0 ]; then printf 'result\\n'; exit; fi;"
                                "printf 'one\\ntwo\\nunfin' ; sleep 0.05; printf 'ished' >&2"));

  EXPECT_EQ(result.code, 0);
  EXPECT_EQ(result.out, "result\n");
  expect_parts(result.err,
               {"[rank 1] one\n[rank 1] two\n", "[rank 1] unfin\n", "[rank 1] ished\n"});
}

TEST_F(LauncherTest, LogsHoldWhatEachRankPrintedOfAllAttempts) {
  auto plan = shell(2,
                    "echo rank $QTK_RANK attempt $QTK_ATTEMPT; echo > %/said.$QTK_RANK;"
                    "until [ -f %/said.0 ] && [ -f %/said.1 ]; do sleep 0.01; done;"
                    "[ $QTK_ATTEMPT = 1 ] || exit 76");
  plan.log_folder = scratch_ / "logs/run";
  plan.restarts = 1;

  const auto result = run(plan);

  EXPECT_EQ(result.code, 0) << result.err;
  expect_parts(result.out, {"rank 0 attempt 1\n"});
  expect_parts(content_of(scratch_ / "logs/run/rank_0.log"),
               {"rank 0 attempt 0\n", "rank 0 attempt 1\n"});
  expect_parts(content_of(scratch_ / "logs/run/rank_1.log"),
               {"rank 1 attempt 0\n", "rank 1 attempt 1\n"});
}

TEST_F(LauncherTest, AWorkersOwnExitCodeIsTheRuns) {
  for (const int code : {1, 2, 3, 4, 5, 6, 74, 79}) {
    const auto result =
        run(shell(2, "[ $QTK_RANK = 0 ] || exit " + std::to_string(code) + "; sleep 20 & wait"));

    EXPECT_EQ(result.code, code);
    expect_parts(result.err,
                 {"worker rank 1 (pid ", "ended with exit code " + std::to_string(code) + " ("});
  }
}

TEST_F(LauncherTest, AWorkerThatASignalKillsEndsTheRunWithItsName) {
  const auto result = run(shell(3, "[ $QTK_RANK = 2 ] && kill -9 $$; sleep 20 & wait"));

  EXPECT_EQ(result.code, 76);
  expect_parts(result.err, {"worker rank 2 (pid ", "was killed by signal 9 (Killed)",
                            "go on from the last checkpoint", "dmesg"});
}

TEST_F(LauncherTest, ASurvivorsLostPeerIsNotTheCause) {
  const auto result = run(
      shell(2,
            "trap '' TERM; if [ $QTK_RANK = 0 ]; then until [ -s %/ready ]; do sleep 0.01; done;"
            "exit 76; fi; echo 1 > %/ready; sleep 0.3; exit 4"));

  EXPECT_EQ(result.code, 4);
  expect_parts(result.err, {"worker rank 1", "exit code 4 (data)"});
}

TEST_F(LauncherTest, ASurvivorThatDoesNotEndIsKilledWithAllItStarted) {
  auto plan = shell(2,
                    "trap '' TERM; if [ $QTK_RANK = 1 ]; then until [ -s %/child ]; do sleep "
                    "0.01; done; exit 3; fi;"
                    "sleep 100 & echo $! > %/child; wait; sleep 100");
  plan.kill_s = 0.2;

  const auto result = run(plan);

  EXPECT_EQ(result.code, 3);
  EXPECT_TRUE(becomes_true([&] { return !is_alive(pid_in("child")); }));
}

TEST_F(LauncherTest, ALostWorkerIsReplacedByAFreshAttempt) {
  auto plan = shell(2,
                    "echo $QTK_RUN_ID:$QTK_MASTER_PORT > %/attempt.$QTK_ATTEMPT.$QTK_RANK;"
                    "[ $QTK_ATTEMPT = 2 ] && exit 0;"
                    "until [ -s %/attempt.$QTK_ATTEMPT.1 ]; do sleep 0.01; done;"
                    "[ $QTK_RANK = 0 ] && kill -9 $$; sleep 20 & wait");
  plan.restarts = 5;

  const auto result = run(plan);

  EXPECT_EQ(result.code, 0) << result.err;
  expect_parts(result.err, {"worker rank 0", "started again (restart 1 of 5)", "restart 2 of 5"});
  EXPECT_EQ(result.err.find("restart 3"), result.err.npos);
  const std::string first = content_of(scratch_ / "attempt.0.1"),
                    last = content_of(scratch_ / "attempt.2.1");
  EXPECT_EQ(first.substr(0, 17), last.substr(0, 17)) << "the run's name stays";
}

TEST_F(LauncherTest, RestartsAreUsedUp) {
  auto plan = shell(1, "echo >> %/starts; kill -9 $$");
  plan.restarts = 2;

  EXPECT_EQ(run(plan).code, 76);
  EXPECT_EQ(content_of(scratch_ / "starts"), "\n\n\n");
}

TEST_F(LauncherTest, WhatARestartCannotCureIsNotRestarted) {
  auto plan = shell(1, "echo >> %/starts; exit 2");
  plan.restarts = 2;

  EXPECT_EQ(run(plan).code, 2);
  EXPECT_EQ(content_of(scratch_ / "starts"), "\n");
}

TEST_F(LauncherTest, AProgramThatCannotBeStartedIsNamed) {
  LaunchPlan plan;
  plan.command = {(scratch_ / "missing").string()};

  const auto result = run(plan);

  EXPECT_EQ(result.code, 74);
  expect_parts(result.err, {"cannot start " + plan.command[0], "No such file"});
}

}  // namespace
}  // namespace qtk::dist
