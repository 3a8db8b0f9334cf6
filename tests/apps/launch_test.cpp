// qtk launch as a user types it.
#include "program_fixture.hpp"

namespace qtk {
namespace {

TEST_F(ProgramTest, LaunchRefusesWhatIsNoRunOfSeveralProcesses) {
  struct Case {
    std::vector<std::string> arguments, fragments;
  };
  const std::vector<Case> cases = {
      {{}, {"--nproc is missing"}},
      {{"--nproc", "0", "run"}, {"--nproc is 0, expected 1 to 1024"}},
      {{"--nproc", "-3", "run"}, {"--nproc is -3"}},
      {{"--nproc", "2"}, {"no verb to launch", "qtk launch --nproc 2 run CONFIG"}},
      {{"--nproc", "2", "launch", "--nproc", "2", "run"}, {"qtk launch cannot launch itself"}},
      {{"--nproc", "2", "rnu"}, {"unknown verb 'rnu'; did you mean 'run'?"}},
      {{"--nporc", "2", "run"}, {"unknown flag --nporc; did you mean --nproc?"}},
      {{"--nproc", "2", "--nodes", "2", "run"}, {"--nodes 2 needs --rendezvous HOST:PORT"}},
      {{"--nproc=2", "--nodes=2", "--node-rank=2", "run"}, {"--node-rank is 2, expected 0 to 1"}},
      {{"--nproc", "2", "--rendezvous", "host", "run"},
       {"--rendezvous is 'host', expected HOST:PORT"}},
      {{"--nproc", "2", "--rendezvous", "host:0x1", "run"}, {"--rendezvous is 'host:0x1'"}},
      {{"--nproc", "2", "--grace-s", "nan", "run"}, {"--grace-s is nan"}},
      {{"--nproc", "2", "--restarts", "-1", "run"}, {"--restarts is -1"}}};
  for (const auto& [arguments, fragments] : cases) {
    std::vector<std::string> words = {"launch"};
    words.insert(words.end(), arguments.begin(), arguments.end());

    const auto result = qtk(words);

    EXPECT_EQ(result.code, 2) << result.err;
    expect_contains(result.err, fragments);
  }
}

TEST_F(ProgramTest, LaunchRunsAVerbWithItsOwnFlagsInEveryProcess) {
  const auto result = qtk({"launch", "--nproc", "2", "--log-dir", here("logs"), "inspect",
                           "--model", inputs_.text("model"), "--json"});

  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_FALSE(json::parse(result.out).empty());
  EXPECT_EQ(file_content(here("logs/rank_0.log")), result.out);
  expect_contains(result.err, {"[rank 1] "});
}

TEST_F(ProgramTest, LaunchEndsWithTheCodeOfTheWorkerThatFailed) {
  const auto result = qtk({"launch", "--nproc", "2", "eval", "--modle", "x"});

  EXPECT_EQ(result.code, 2);
  expect_contains(result.err, {"unknown flag --modle; did you mean --model?",
                               "error[launch]: worker rank ", "ended with exit code 2"});
}

}  // namespace
}  // namespace qtk
