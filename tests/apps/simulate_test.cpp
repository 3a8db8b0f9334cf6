// qtk simulate: plans of runs that nobody has started yet.
#include "program_fixture.hpp"

namespace qtk {
namespace {

class SimulateProgram : public ProgramTest {
 protected:
  std::string configuration(const std::string& more = "", const std::string& model = "model") {
    return write("run.yaml",
                 "qtk: 1\nname: plan\ndevice: cpu\nmodel: {path: " + inputs_.text(model) +
                     "}\ndata: {train: {files: [" + inputs_.text("text.txt") +
                     "], ctx: 64}}\n"
                     "train: {steps: 1, global_batch: 8, micro_batch: 1}\n"
                     "optimizer: {lr: 1e-4}\n"
                     "parallel: {pipeline: 2, schedule: 1f1b}\n" +
                     more);
  }
  static json parsed(const Outcome& outcome) {
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return json::parse(outcome.out, nullptr, /*allow_exceptions=*/false);
  }

  const std::string comm_ =
      "comm: {forward: {use: fixpoint, options: {bits: 4}}, rate_mbit: 100, latency_ms: 1}\n";
};

TEST_F(SimulateProgram, AConfigurationIsEnough) {
  const auto found = parsed(qtk({"simulate", configuration(comm_), "--gflops", "1", "--json"}));

  EXPECT_EQ(found["stages"], 2);
  EXPECT_EQ(found["micro_batches"], 8);
  EXPECT_EQ(found["rate_bits_s"], 1e8);
  EXPECT_EQ(found["latency_s"], 1e-3);
  EXPECT_EQ(found["uncompressed_bytes"], 4 * 64 * 64);
  EXPECT_EQ(found["backward_bytes"], 4 * 64 * 64);
  EXPECT_LT(found["forward_bytes"], 4 * 64 * 64 / 7);
  EXPECT_GE(found["step_s"], found["bounds"]["compute_s"]);
  EXPECT_NEAR(found["tokens_per_s"].get<double>() * found["step_s"].get<double>(), 8 * 64, 1e-6);
  EXPECT_EQ(found["ranks"].size(), 2);
  EXPECT_EQ(found["links"].size(), 2);
  EXPECT_GE(found["uncompressed_step_s"], found["step_s"]);
}

TEST_F(SimulateProgram, AGgufFileIsReadForItsShapes) {
  const auto folder = parsed(qtk({"simulate", configuration(comm_), "--gflops", "1", "--json"}));
  const auto gguf =
      parsed(qtk({"simulate", configuration(comm_, "model.gguf"), "--gflops", "1", "--json"}));

  EXPECT_EQ(folder["step_s"], gguf["step_s"]);
}

TEST_F(SimulateProgram, RatesAreSweptFromSlowToFast) {
  const auto found = parsed(qtk({"simulate", configuration(comm_), "--gflops", "5", "--sweep-rate",
                                 "1,10,100,1000", "--json"}));
  const auto table =
      qtk({"simulate", configuration(comm_), "--gflops", "5", "--sweep-rate", "1,10,100,1000"});

  ASSERT_EQ(found["sweep"].size(), 4);
  for (size_t i = 1; i < 4; ++i)
    EXPECT_LE(found["sweep"][i]["step_s"], found["sweep"][i - 1]["step_s"]);
  EXPECT_EQ(found["sweep"][0]["bound_by"], "link");
  EXPECT_EQ(table.code, 0) << table.err;
  expect_contains(table.out, {"Mbit/s", "\n           1 ", "\n        1000 ", "link"});
}

TEST_F(SimulateProgram, AMeasuredProfileIsHeldAgainstItsOwnStep) {
  const json stage = {{"forward_s", 0.01}, {"backward_s", 0.02}};
  const auto profile = write("timing.json", json{{"stages", {stage, stage}},
                                                 {"forward_bytes", 4 * 64 * 64},
                                                 {"backward_bytes", 4 * 64 * 64},
                                                 {"micro_batches", 8},
                                                 {"schedule", "1f1b"},
                                                 {"replicas", 1},
                                                 {"step_s", 0.3}}
                                                .dump());

  const auto found = parsed(qtk({"simulate", configuration(), "--profile", profile, "--json"}));
  const auto table = qtk({"simulate", configuration(), "--profile", profile});

  EXPECT_NEAR(found["step_s"], 9 * 0.03, 1e-6);
  EXPECT_EQ(found["measured_step_s"], 0.3);
  expect_contains(table.out, {"measured   0.3000 s; the simulation is off by -10.0 %",
                              "bound by compute", "costs      measured"});
  EXPECT_EQ(parsed(qtk({"simulate", configuration(), "--profile", profile, "--set",
                        "parallel.schedule=gpipe", "--json"}))
                .contains("measured_step_s"),
            false);
}

TEST_F(SimulateProgram, RanksShareTheCoresOfTheirHost) {
  const json cpu = {
      {"forward_s", 0.01}, {"backward_s", 0.02}, {"own_step_s", 0.25}, {"step_s", 0.25}};
  const json stage = {{"forward_s", 0.1}, {"backward_s", 0.2}, {"cpu", cpu}};
  const auto profile = write("timing.json", json{{"stages", {stage, stage}},
                                                 {"forward_bytes", 4 * 64 * 64},
                                                 {"backward_bytes", 4 * 64 * 64},
                                                 {"micro_batches", 8},
                                                 {"schedule", "1f1b"}}
                                                .dump());
  const auto step_s = [&](std::vector<std::string> more) {
    std::vector<std::string> words = {"simulate", configuration(), "--profile", profile, "--json"};
    words.insert(words.end(), more.begin(), more.end());
    return parsed(qtk(words))["step_s"].get<double>();
  };

  EXPECT_NEAR(step_s({}), 9 * 0.3, 1e-6);  // the clock on the wall
  EXPECT_NEAR(step_s({"--cores", "2"}), 9 * 0.03 + 0.01, 1e-6);
  EXPECT_NEAR(step_s({"--cores", "1"}), 2 * 0.25, 0.02);
  EXPECT_NEAR(step_s({"--cores", "1", "--ranks-per-host", "1"}), 9 * 0.03 + 0.01, 1e-6);
  const auto table = qtk({"simulate", configuration(), "--profile", profile, "--cores", "1"});
  expect_contains(table.out, {"costs      measured in processor time",
                              "hosts      1 host, each with 1 core for 2 ranks",
                              "cores 0.5000 s; bound by cores"});
}

TEST_F(SimulateProgram, ManyReplicasAndATimeline) {
  const auto alike = parsed(qtk({"simulate", configuration(comm_), "--gflops", "1", "--ranks",
                                 "8,2", "--rate-mbit", "1000", "--json"}));
  const auto found = parsed(
      qtk({"simulate", configuration(comm_), "--gflops", "1", "--ranks", "8,2", "--rate-mbit",
           "1000", "--jitter", "0.1", "--steps", "2", "--trace", here("trace.json"), "--json"}));

  EXPECT_EQ(alike["simulated_replicas"], 1);
  EXPECT_EQ(found["simulated_replicas"], 8);
  EXPECT_EQ(found["ranks"].size(), 16);
  EXPECT_EQ(found["step_ends_s"].size(), 2);
  EXPECT_GT(found["bounds"]["exchange_s"], 0);
  EXPECT_GT(json::parse(file_content(here("trace.json"))).size(), 16);
}

TEST_F(SimulateProgram, WhatDoesNotFitIsRefused) {
  const auto config = configuration(comm_);
  const json stage = {{"forward_s", 0.01}, {"backward_s", 0.02}};
  const auto wall_clock = write("timing.json", json{{"stages", {stage, stage}},
                                                    {"forward_bytes", 1},
                                                    {"backward_bytes", 1},
                                                    {"micro_batches", 8}}
                                                   .dump());
  const std::vector<Refused> cases = {
      {{"simulate", config}, {"nothing says how fast a rank computes", "--profile", "--gflops"}},
      {{"simulate", config, "--gflops", "1", "--ranks", "3,2"},
       {"train.global_batch is 8", "3 replicas"}},
      {{"simulate", config, "--gflops", "1", "--ranks", "1,5"}, {"layers"}},
      {{"simulate", config, "--gflops", "1", "--ranks", "2"}, {"--ranks 2 is not D,P"}},
      {{"simulate", config, "--gflops", "1", "--receives", "late"}, {"--receives late"}},
      {{"simulate", config, "--gflops", "1", "--sweep-rate", "1,x"}, {"--sweep-rate 1,x"}},
      {{"simulate", config, "--gflops", "-1"}, {"--gflops is -1"}},
      {{"simulate", config, "--gflops", "1", "--jitter", "2"}, {"the jitter is 2"}},
      {{"simulate", config, "--gflops", "1", "--set", "parallel.pipelin=2"},
       {"parallel.pipelin", "pipeline"}},
      {{"simulate", config, "--profile", wall_clock, "--cores", "2"},
       {"timing.json holds no processor times, which --cores needs"}},
      {{"simulate", config, "--gflops", "1", "--cores", "0"}, {"at least one core"}},
      {{"simulate", config, "--gflops", "1", "--share-spread", "0.5"}, {"add --shared-egress"}},
      {{"simulate", config, "--gflops", "1", "--ranks-per-host", "2"}, {"add --cores"}},
      {{"simulate", config, "--gflops", "1", "--cores", "2", "--ranks-per-host", "3"},
       {"3 of 2 ranks"}},
      {{"simulate", config, "--profile", inputs_.text("text.txt")}, {"text.txt"}, 4},
      {{"simulate", inputs_.text("tiny.yaml"), "--gflops", "1"}, {"trains nothing"}}};
  expect_refused(cases);
}

}  // namespace
}  // namespace qtk
