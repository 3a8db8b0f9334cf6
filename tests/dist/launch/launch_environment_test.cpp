#include "dist/launch/launch_environment.hpp"

#include <qtk/runtime/error.hpp>

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>

namespace qtk::dist {
namespace {

using Variables = std::map<std::string, std::string>;

LaunchEnvironment detect(const Variables& variables) {
  return detect_environment([&](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end() || found->second.empty()) return std::nullopt;
    return found->second;
  });
}

Variables operator+(Variables left, const Variables& right) {
  for (const auto& [name, value] : right) left[name] = value;
  return left;
}

/// What the error says, remedy included.
std::string refusal(const Variables& variables) {
  try {
    detect(variables);
  } catch (const ConfigError& error) {
    return std::string(error.what()) + "\n" + error.remedy();
  }
  return "accepted";
}

void expect_refusal(const Variables& variables, const std::vector<std::string>& fragments) {
  const std::string text = refusal(variables);
  for (const auto& fragment : fragments)
    EXPECT_NE(text.find(fragment), text.npos) << "'" << fragment << "' not in: " << text;
}

const Variables kQtk = {{"QTK_RANK", "2"},        {"QTK_WORLD_SIZE", "4"},
                        {"QTK_LOCAL_RANK", "0"},  {"QTK_LOCAL_WORLD_SIZE", "2"},
                        {"QTK_MASTER_ADDR", "a"}, {"QTK_MASTER_PORT", "4711"},
                        {"QTK_RUN_ID", "r"},      {"QTK_ATTEMPT", "1"}};
const Variables kTorchrun = {{"RANK", "3"},
                             {"WORLD_SIZE", "8"},
                             {"LOCAL_RANK", "1"},
                             {"LOCAL_WORLD_SIZE", "2"},
                             {"MASTER_ADDR", "host"},
                             {"MASTER_PORT", "29500"},
                             {"TORCHELASTIC_RUN_ID", "none"},
                             {"TORCHELASTIC_RESTART_COUNT", "2"},
                             {"TORCHELASTIC_USE_AGENT_STORE", "True"}};
const Variables kSlurm = {{"SLURM_PROCID", "5"},
                          {"SLURM_NTASKS", "7"},
                          {"SLURM_LOCALID", "1"},
                          {"SLURM_NODEID", "2"},
                          {"SLURM_STEP_TASKS_PER_NODE", "2(x2),3"},
                          {"SLURM_STEP_NODELIST", "node[03-05,9]"},
                          {"SLURM_JOB_ID", "123456"},
                          {"SLURM_STEP_ID", "1"},
                          {"SLURM_RESTART_COUNT", "3"}};
const Variables kOpenMpi = {{"OMPI_COMM_WORLD_RANK", "1"},
                            {"OMPI_COMM_WORLD_SIZE", "2"},
                            {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                            {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"},
                            {"PMIX_NAMESPACE", "prterun-host-77@1"}};

TEST(LaunchEnvironmentTest, NoVariablesMeanOneProcess) {
  const auto found = detect({});

  EXPECT_EQ(found.source, "");
  EXPECT_EQ(found.rank, 0);
  EXPECT_EQ(found.world, 1);
  EXPECT_EQ(describe(found), "one process");
}

TEST(LaunchEnvironmentTest, QtkLaunchIsRead) {
  const auto found = detect(kQtk);

  EXPECT_EQ(found.source, "qtk launch");
  EXPECT_EQ(found.rank, 2);
  EXPECT_EQ(found.world, 4);
  EXPECT_EQ(found.local_rank, 0);
  EXPECT_EQ(found.local_world, 2);
  EXPECT_EQ(found.master_address, "a");
  EXPECT_EQ(found.master_port, 4711);
  EXPECT_EQ(found.run_id, "r");
  EXPECT_EQ(found.attempt, 1);
  EXPECT_FALSE(found.agent_hosts_store);
  EXPECT_EQ(describe(found), "rank 2 of 4 from qtk launch (QTK_RANK, QTK_WORLD_SIZE)");
}

TEST(LaunchEnvironmentTest, TorchrunIsReadWithItsAgentsStore) {
  const auto found = detect(kTorchrun);

  EXPECT_EQ(describe(found), "rank 3 of 8 from torchrun (RANK, WORLD_SIZE)");
  EXPECT_EQ(found.local_rank, 1);
  EXPECT_EQ(found.local_world, 2);
  EXPECT_EQ(found.master_address, "host");
  EXPECT_EQ(found.master_port, 29500);
  EXPECT_EQ(found.run_id, "none");
  EXPECT_EQ(found.attempt, 2);
  EXPECT_TRUE(found.agent_hosts_store);
  EXPECT_FALSE(
      detect(kTorchrun + Variables{{"TORCHELASTIC_USE_AGENT_STORE", "False"}}).agent_hosts_store);
}

TEST(LaunchEnvironmentTest, SlurmIsReadWithTheTasksOfThisNodeAndAPortOfItsOwn) {
  const auto found = detect(kSlurm);

  EXPECT_EQ(describe(found), "rank 5 of 7 from Slurm (SLURM_PROCID, SLURM_NTASKS)");
  EXPECT_EQ(found.local_rank, 1);
  EXPECT_EQ(found.local_world, 3);
  EXPECT_EQ(found.master_address, "node03");
  EXPECT_EQ(found.master_port, 20000 + 1234561 % 12000);
  EXPECT_EQ(found.run_id, "slurm-123456.1");
  EXPECT_EQ(found.attempt, 3);
  EXPECT_EQ(detect(kSlurm + Variables{{"SLURM_NODEID", "1"}}).local_world, 2);
  EXPECT_EQ(detect(kSlurm + Variables{{"MASTER_PORT", "4000"}}).master_port, 4000);
  EXPECT_EQ(detect(kSlurm + Variables{{"MASTER_ADDR", "ib0"}}).master_address, "ib0");
}

TEST(LaunchEnvironmentTest, SlurmsStepCountsBeforeItsJob) {
  const auto found =
      detect(kSlurm + Variables{{"SLURM_NTASKS", "64"}, {"SLURM_STEP_NUM_TASKS", "7"}});

  EXPECT_EQ(found.world, 7);
  EXPECT_EQ(found.variables, "SLURM_PROCID, SLURM_STEP_NUM_TASKS");
}

TEST(LaunchEnvironmentTest, SlurmTasksPerNodeAreEnoughAndTheJobsNodes) {
  auto variables = kSlurm;
  variables.erase("SLURM_STEP_TASKS_PER_NODE");
  variables.erase("SLURM_STEP_NODELIST");
  variables["SLURM_NTASKS_PER_NODE"] = "4";
  variables["SLURM_JOB_NODELIST"] = "gpu7,gpu8";

  const auto found = detect(variables);

  EXPECT_EQ(found.local_world, 4);
  EXPECT_EQ(found.master_address, "gpu7");
}

TEST(LaunchEnvironmentTest, ABatchScriptOrAShellInAnAllocationIsOneProcess) {
  auto batch = kSlurm;
  batch.erase("SLURM_STEP_ID");
  auto without_rank = kSlurm;
  without_rank.erase("SLURM_PROCID");

  EXPECT_EQ(detect(batch).world, 1);
  EXPECT_EQ(detect(without_rank).world, 1);
  EXPECT_EQ(detect(kSlurm + Variables{{"SLURM_STEP_ID", "4294967290"}}).world, 1);
}

TEST(LaunchEnvironmentTest, TheFirstHostOfACompressedListIsSpeltOut) {
  EXPECT_EQ(first_host("node[03-05,9]"), "node03");
  EXPECT_EQ(first_host("node[9,3-5]-ib,login1"), "node9-ib");
  EXPECT_EQ(first_host("rack[1-2]n[07-12]"), "rack1n07");
  EXPECT_EQ(first_host("a.b-c,d"), "a.b-c");
  EXPECT_EQ(first_host("single"), "single");
  EXPECT_EQ(first_host("node[3"), "node3");
  EXPECT_EQ(first_host(""), "");
}

TEST(LaunchEnvironmentTest, OpenMpiOnOneMachineNeedsNothingElse) {
  const auto found = detect(kOpenMpi);

  EXPECT_EQ(describe(found),
            "rank 1 of 2 from Open MPI (OMPI_COMM_WORLD_RANK, OMPI_COMM_WORLD_SIZE)");
  EXPECT_EQ(found.master_address, "127.0.0.1");
  EXPECT_GE(found.master_port, 20000);
  EXPECT_LT(found.master_port, 32000);
  EXPECT_EQ(found.run_id, "prterun-host-77@1");
  EXPECT_NE(detect(kOpenMpi + Variables{{"PMIX_NAMESPACE", "prterun-host-78@1"}}).master_port,
            found.master_port);
}

TEST(LaunchEnvironmentTest, OpenMpiOnSeveralMachinesNeedsAMeetingPoint) {
  const auto spread = kOpenMpi + Variables{{"OMPI_COMM_WORLD_SIZE", "4"}};
  expect_refusal(spread, {"MASTER_ADDR is not set", "mpirun -x MASTER_ADDR="});
  expect_refusal(spread + Variables{{"MASTER_ADDR", "h"}}, {"MASTER_PORT is not set"});

  const auto found = detect(spread + Variables{{"MASTER_ADDR", "h"}, {"MASTER_PORT", "29501"}});

  EXPECT_EQ(found.master_address, "h");
  EXPECT_EQ(found.master_port, 29501);
}

TEST(LaunchEnvironmentTest, ALauncherInSomebodyElsesAllocationWins) {
  EXPECT_EQ(detect(kQtk + kTorchrun + kSlurm + kOpenMpi).source, "qtk launch");
  EXPECT_EQ(detect(kTorchrun + kSlurm + kOpenMpi).source, "torchrun");
}

TEST(LaunchEnvironmentTest, SourcesThatAgreeAreFine) {
  const Variables mpi = {{"OMPI_COMM_WORLD_RANK", "5"},
                         {"OMPI_COMM_WORLD_SIZE", "7"},
                         {"MASTER_ADDR", "h"},
                         {"MASTER_PORT", "5"}};

  EXPECT_EQ(detect(kSlurm + mpi).source, "Slurm");
}

TEST(LaunchEnvironmentTest, SourcesThatContradictEachOtherAreBothNamed) {
  const Variables by_hand = {
      {"RANK", "0"}, {"WORLD_SIZE", "2"}, {"MASTER_ADDR", "h"}, {"MASTER_PORT", "5"}};
  expect_refusal(kSlurm + by_hand,
                 {"rank 0 of 2 from torchrun (RANK, WORLD_SIZE)",
                  "rank 5 of 7 from Slurm (SLURM_PROCID, SLURM_NTASKS)", "env -u SLURM_PROCID"});
  expect_refusal(kSlurm + kOpenMpi, {"from Slurm", "from Open MPI"});
}

TEST(LaunchEnvironmentTest, WhatIsNoRankIsRefusedWithItsVariable) {
  const auto with = [](const std::string& name, const std::string& value) {
    return kTorchrun + Variables{{name, value}};
  };
  expect_refusal(with("RANK", "8"), {"RANK=8", "torchrun", "[0, 7]"});
  expect_refusal(with("RANK", "-1"), {"RANK=-1"});
  expect_refusal(with("RANK", "1x"), {"RANK=1x", "expected an integer"});
  expect_refusal(with("WORLD_SIZE", "0"), {"WORLD_SIZE=0"});
  expect_refusal(with("LOCAL_RANK", "2"), {"LOCAL_RANK=2", "[0, 1]"});
  expect_refusal(with("LOCAL_WORLD_SIZE", "9"), {"LOCAL_WORLD_SIZE=9", "[1, 8]"});
  expect_refusal(with("MASTER_PORT", "70000"), {"MASTER_PORT=70000"});
  expect_refusal(with("WORLD_SIZE", ""), {"WORLD_SIZE is not set"});
  expect_refusal(with("MASTER_ADDR", ""), {"MASTER_ADDR is not set"});
  expect_refusal(kQtk + Variables{{"QTK_RUN_ID", ""}}, {"qtk launch", "QTK_RUN_ID is not set"});
  expect_refusal(kSlurm + Variables{{"SLURM_STEP_TASKS_PER_NODE", "2(y"}},
                 {"SLURM_STEP_TASKS_PER_NODE=2(y"});
  expect_refusal(kSlurm + Variables{{"SLURM_STEP_NODELIST", ""}}, {"SLURM_STEP_NODELIST"});
}

TEST(LaunchEnvironmentTest, TheProcesssOwnEnvironmentIsTheDefault) {
  for (const auto& [name, value] : kQtk) ::setenv(name.c_str(), value.c_str(), 1);

  const auto found = detect_environment();

  for (const auto& [name, value] : kQtk) ::unsetenv(name.c_str());
  EXPECT_EQ(found.rank, 2);
  EXPECT_EQ(found.run_id, "r");
}

}  // namespace
}  // namespace qtk::dist
