// Training by several processes, as a user starts it: qtk launch --nproc N run CONFIG.
#include "program_fixture.hpp"

#include <cmath>
#include <map>

namespace qtk {
namespace {

class ParallelRunTest : public ProgramTest {
 protected:
  ParallelRunTest() {
    tiny::write_model(scratch_ / "model",
                      [](json& config, tiny::Tensors& tensors) { widen(config, tensors); });
    tiny::write_text(scratch_ / "text.txt", 900);
    tiny::write_text(scratch_ / "held_out.txt", 200, 11);
    write("train.yaml",
          "qtk: 1\nname: tiny\ndevice: cpu\nthreads: 1\nmodel: {path: " + here("model") +
              "}\ndata:\n  train: {files: [" + here("text.txt") + "], ctx: 32}\n  eval: {files: [" +
              here("held_out.txt") +
              "], ctx: 32, windows: 4}\n"
              "optimizer: {lr: 1e-3}\n"
              "train: {global_batch: 8, micro_batch: 2, steps: 4, log_every: 1, eval_every: 2, "
              "checkpoint_every: 2}\nstages: [train]\n");
  }

  /// Four layers, and the head tied to the embedding.
  static void widen(json& config, tiny::Tensors& tensors) {
    config["num_hidden_layers"] = 4;
    config["tie_word_embeddings"] = true;
    tensors.erase("lm_head.weight");
    tiny::Tensors more;
    for (const auto& [name, tensor] : tensors)
      for (const int layer : {0, 1})
        if (const std::string prefix = "model.layers." + std::to_string(layer) + ".";
            name.starts_with(prefix))
          more["model.layers." + std::to_string(layer + 2) + "." + name.substr(prefix.size())] =
              tensor.flip(0).contiguous();
    tensors.merge(more);
  }

  Outcome run(int processes, const std::string& folder,
              const std::vector<std::string>& overrides = {},
              const std::vector<std::string>& launcher = {}) const {
    std::vector<std::string> words;
    if (processes > 1) {
      words = {"launch", "--nproc", std::to_string(processes)};
      words.insert(words.end(), launcher.begin(), launcher.end());
    }
    for (const auto& word : {std::string("run"), here("train.yaml"), std::string("--out"),
                             here(folder), std::string("-q")})
      words.push_back(word);
    for (const auto& each : overrides) {
      words.push_back("--set");
      words.push_back(each);
    }
    return qtk(words);
  }

  struct Row {
    double loss = 0, norm = 0, held_out = 0;
  };
  std::map<int64_t, Row> metrics(const std::string& folder) const {
    std::map<int64_t, Row> rows;
    std::ifstream file(here(folder) + "/train/dense/metrics.jsonl");
    for (std::string line; std::getline(file, line);) {
      const json row = json::parse(line);
      Row& known = rows[row["step"].get<int64_t>()];
      if (row.contains("loss")) known.loss = row["loss"], known.norm = row["grad_norm"];
      if (row.contains("val_loss")) known.held_out = row["val_loss"];
    }
    return rows;
  }
  std::string weights(const std::string& folder) const {
    std::string all;
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(here(folder) + "/artifacts/dense/packed"))
      if (entry.path().extension() == ".safetensors") files.push_back(entry.path());
    std::ranges::sort(files);
    for (const auto& file : files) all += file_content(file);
    return all;
  }
  void expect_equal_losses(const std::string& folder, const std::string& other) const {
    const auto rows = metrics(folder), expected = metrics(other);
    ASSERT_EQ(rows.size(), expected.size());
    ASSERT_FALSE(rows.empty());
    for (const auto& [step, row] : rows) {
      const Row& want = expected.at(step);
      EXPECT_NEAR(row.loss, want.loss, 1e-6 * want.loss) << folder << " step " << step;
      EXPECT_NEAR(row.norm, want.norm, 1e-5 * want.norm) << folder << " step " << step;
      EXPECT_NEAR(row.held_out, want.held_out, 1e-6 * want.held_out) << folder << " step " << step;
    }
  }
};

TEST_F(ParallelRunTest, AnyNumberOfStagesAndReplicasGivesTheLossesOfOneProcess) {
  ASSERT_EQ(run(1, "one").code, 0);
  const std::map<std::string, std::vector<std::string>> ways = {
      {"p2", {"parallel.pipeline=2"}},
      {"p4_gpipe", {"parallel.pipeline=4", "parallel.schedule=gpipe"}},
      {"p2_uneven", {"parallel={pipeline: 2, layers: [3, 1]}", "comm={forward: {use: none}}"}},
      {"d2", {"parallel.data=2"}},
      {"d2p2",
       {"parallel={data: 2, pipeline: 2, shard_optimizer: true}", "comm.checksum=true",
        "train.activation_checkpointing=true"}}};
  for (const auto& [folder, overrides] : ways) {
    const int processes = folder == "p4_gpipe" || folder == "d2p2" ? 4 : 2;
    const auto outcome = run(processes, folder, overrides);
    ASSERT_EQ(outcome.code, 0) << folder << outcome.err;
    expect_equal_losses(folder, "one");
  }
}

TEST_F(ParallelRunTest, AQuantizerTrainsOverCompressedLinks) {
  const auto outcome =
      run(2, "quantized",
          {"quantizer={use: affine, options: {bits: 4, group_size: 32}}", "parallel.pipeline=2",
           "comm.forward={use: tah, options: {tile_size: 32}}",
           "comm.backward={use: fixpoint, options: {bits: 6}}", "dist.trace=true",
           "stages=[train, eval]", "train.result=best"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const fs::path folder = here("quantized");
  EXPECT_TRUE(fs::exists(folder / "eval/affine.json"));
  for (const char* rank : {"0", "1"}) {
    const json trace =
        json::parse(file_content(folder / ("trace/rank" + std::string(rank) + ".json")));
    EXPECT_FALSE(trace.empty());
  }
  const json timing = json::parse(file_content(folder / "train/affine/timing.json"));
  EXPECT_EQ(timing["stages"].size(), 2U);
  EXPECT_LT(timing["forward_bytes"].get<int64_t>(), 2 * 32 * 64 * 4 / 5);
  for (const auto& stage : timing["stages"]) {
    const json& cpu = stage["cpu"];
    EXPECT_GT(cpu["forward_s"].get<double>(), 0);
    EXPECT_GE(cpu["step_s"].get<double>(), cpu["forward_s"].get<double>());
  }
}

TEST_F(ParallelRunTest, ARunGoesOnWithAnotherNumberOfProcesses) {
  ASSERT_EQ(run(1, "whole").code, 0);
  ASSERT_EQ(run(4, "changing", {"parallel={data: 2, pipeline: 2, shard_optimizer: true}"}, {}).code,
            0);
  const fs::path train = fs::path(here("changing")) / "train/dense";
  fs::remove_all(train / "checkpoints/step-00000004");
  fs::remove_all(fs::path(here("changing")) / "stages");
  fs::create_directories(fs::path(here("changing")) / "stages");
  const auto outcome = run(2, "changing", {"parallel={pipeline: 2, layers: [1, 3]}"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  expect_equal_losses("changing", "whole");
}

TEST_F(ParallelRunTest, AKilledRankIsNamedAndTheResumedRunEndsOnTheSameBytes) {
  const std::vector<std::string> overrides = {"parallel.pipeline=2",
                                              "comm.forward={use: delta, options: {bits: 4}}"};
  ASSERT_EQ(run(2, "undisturbed", overrides).code, 0);
  ::setenv("QTK_FAULT", "backward:1:11:kill", 1);
  const auto killed = run(2, "disturbed", overrides);
  ::unsetenv("QTK_FAULT");
  EXPECT_EQ(killed.code, 76) << killed.err;
  expect_contains(killed.err, {"rank 1", "backward micro-batch 2"});
  const auto resumed = run(2, "disturbed", overrides);
  ASSERT_EQ(resumed.code, 0) << resumed.err;
  expect_equal_losses("disturbed", "undisturbed");
  EXPECT_EQ(weights("disturbed"), weights("undisturbed"));
}

TEST_F(ParallelRunTest, WhatDoesNotFitIsSaidBeforeAnythingStarts) {
  const auto alone = run(1, "alone", {"parallel.pipeline=2"});
  EXPECT_EQ(alone.code, 2);
  expect_contains(alone.err, {"needs 2 processes", "qtk launch --nproc 2"});
  const auto many = run(2, "many", {"parallel={pipeline: 2, layers: [1, 1]}"});
  EXPECT_EQ(many.code, 2);
  expect_contains(many.err, {"adds up to 2 layers, but the model has 4"});
  const auto odd = run(2, "odd", {"parallel.data=2", "train.global_batch=2"});
  EXPECT_EQ(odd.code, 2);
  expect_contains(odd.err, {"is no multiple of parallel.data * train.micro_batch = 4"});
}

}  // namespace
}  // namespace qtk
