// Training from a configuration to a packed model that the later stages read.
#include "kill_run.hpp"
#include "train_fixture.hpp"
#include "write_limit.hpp"

#include <csignal>
#include <random>

namespace qtk::stage {
namespace {

using tiny::json;

TEST_F(TrainTest, LeavesAModelThatTheLaterStagesRead) {
  write_config("steps: 30, log_every: 5, eval_every: 15, checkpoint_every: 0",
               "quantizer: {use: affine, options: {bits: 2, group_size: 32}}\n"
               "export:\n  - {use: hf-dense, dtype: f32}\n");

  const auto lines = run(request());

  const auto rows = metrics();
  ASSERT_GE(rows.size(), 8u);
  EXPECT_EQ(rows.front()["step"], 5);
  EXPECT_EQ(rows.front()["tokens"], 5 * 4 * 32);
  EXPECT_LT(rows[rows.size() - 2]["loss"].get<double>(), rows.front()["loss"].get<double>() - 0.5);
  const auto evaluation = json::parse(bytes_in(scratch_ / "run/eval/affine.json"));
  EXPECT_NEAR(evaluation["results"][0]["nll"].get<double>(), rows.back()["val_loss"].get<double>(),
              1e-5);
  EXPECT_NE(bytes_in(scratch_ / "run/report.html").find("<section id=\"training\""),
            std::string::npos);
  const auto events = contents_of(scratch_ / "run/tensorboard/affine");
  ASSERT_EQ(events.size(), 1u);
  EXPECT_NE(events.begin()->second.find("val_loss"), std::string::npos);
  EXPECT_TRUE(fs::exists(scratch_ / "run/artifacts/affine/hf-dense-f32/config.json"));
  EXPECT_EQ(checkpoints(), std::vector<std::string>{"step-00000030"});
}

TEST_F(TrainTest, TrainsADenseModelWithoutAQuantizer) {
  write_config("steps: 6, log_every: 2",
               "export:\n  - {use: hf-dense, dtype: f32}\n  - {use: gguf, type: F32}\n");

  run(request());

  const auto trained = open_model(scratch_ / "run/artifacts/dense/packed", {}, *TestContext());
  EXPECT_EQ(trained.packed_weights, 0);
  const auto evaluation = json::parse(bytes_in(scratch_ / "run/eval/dense.json")),
             base = json::parse(bytes_in(scratch_ / "run/eval/base.json"));
  EXPECT_LT(evaluation["results"][0]["nll"].get<double>(), base["results"][0]["nll"].get<double>());
  EXPECT_TRUE(fs::exists(scratch_ / "run/artifacts/dense/gguf-F32.gguf"));
}

TEST_F(TrainTest, ResumedAtAnyStepItGivesTheSameBytes) {
  train({}, "undisturbed");
  for (int64_t cut = 1; cut <= 6; ++cut) {
    SCOPED_TRACE(cut);
    const std::string folder = "run" + std::to_string(cut);
    train({}, folder);
    // As if it had been killed after `cut` steps: newer checkpoints and results are not there.
    for (const auto& name : checkpoints(folder))
      if (name > "step-0000000" + std::to_string(cut))
        fs::remove_all(scratch_ / folder / "train/affine/checkpoints" / name);
    fs::remove_all(scratch_ / folder / "artifacts");

    train({}, folder);

    EXPECT_TRUE(packed(folder) == packed("undisturbed"));
    EXPECT_EQ(metrics("affine", folder), metrics("affine", "undisturbed"));
  }
}

TEST_F(TrainTest, KilledAtRandomMomentsItGivesTheSameBytes) {
  write_config("steps: 24, log_every: 2, checkpoint_every: 3, eval_every: 6");
  train({}, "undisturbed");
  std::mt19937 random(5);
  std::uniform_int_distribution<useconds_t> between_two_lines(0, 20'000);
  int killed = 0;
  for (int repetition = 0; repetition < 8; ++repetition) {
    SCOPED_TRACE(repetition);
    fs::remove_all(scratch_ / "run");
    for (const int lines : {1 + repetition, 3 + repetition}) {
      DoomedRun doomed(request({}, "run", "train"));
      doomed.await_lines(scratch_ / "run/train/affine/metrics.jsonl", lines);
      ::usleep(between_two_lines(random));
      killed += doomed.kill();
    }

    train();

    EXPECT_TRUE(packed() == packed("undisturbed"));
    EXPECT_EQ(metrics(), metrics("affine", "undisturbed"));
    EXPECT_EQ(checkpoints(), checkpoints("undisturbed"));
    EXPECT_TRUE(leftovers_in(scratch_ / "run").empty());
  }
  EXPECT_GE(killed, 8);  // else the moments say nothing
}

TEST_F(TrainTest, KeepsTheBestStepIfAskedTo) {
  // A rate at which the first steps lead away from the model that is there: each is worse.
  write_config("steps: 3, eval_every: 1, result: best");

  run(request({"optimizer.lr=0.3"}));

  double best = 1e9, last = 0;
  for (const auto& row : metrics())
    if (row.contains("val_loss")) best = std::min(best, last = row["val_loss"].get<double>());
  ASSERT_LT(best, last - 1e-3) << "the last step is the best one, so the test says nothing";
  const auto evaluation = json::parse(bytes_in(scratch_ / "run/eval/affine.json"));
  EXPECT_NEAR(evaluation["results"][0]["nll"].get<double>(), best, 1e-5);
}

TEST_F(TrainTest, VariantsTrainOneAfterTheOther) {
  write_config("tokens: 1k, log_every: 2",
               "quantizer: {use: affine, options: {group_size: 32}}\n"
               "variants: [{name: w4, options: {bits: 4}}, {name: w2, options: {bits: 2}}]\n");

  run(request());

  for (const char* variant : {"w4", "w2"}) {
    EXPECT_EQ(metrics(variant).back()["step"], 7);  // 1000 / (4 x 32)
    EXPECT_TRUE(fs::exists(scratch_ / "run/eval" / (std::string(variant) + ".json")));
  }
  EXPECT_NE(packed("run", "w4"), packed("run", "w2"));
}

TEST_F(TrainTest, FaultsAreOneSentenceWithTheRightCode) {
  struct Case {
    std::vector<std::string> overrides;
    ExitCode code;
    std::vector<std::string> fragments;
  };
  const Case cases[] = {
      {{"data.train.ctx=100000"}, ExitCode::kData, {"tokens, fewer than one window of 100000"}},
      {{"optimizer.lr=1e30"},
       ExitCode::kDiverged,
       {"train affine diverged", "step 2 are NaN or infinite", "no checkpoint yet",
        "on_nan: skip"}},
      // A factor below 1: any loss is too high, whatever the processor's rounding makes of it.
      {{"train.divergence_factor=0.5", "train.log_every=1", "train.steps=40"},
       ExitCode::kDiverged,
       {"diverged: the loss of step ", "0.5 times its running median", "last good checkpoint is ",
        "step-0000"}},
      {{"train.steps=0", "train.tokens=10"},
       ExitCode::kConfig,
       {"less than one step of 4 windows of 32 tokens"}},
      {{"optimizer.groups.codes.lr=1"},
       ExitCode::kConfig,
       {"optimizer.groups.codes has no effect", "default, rest"}},
      {{"train.precision=bf16"}, ExitCode::kConfig, {"the CPU computes in fp32"}},
  };
  for (const auto& [overrides, code, fragments] : cases) {
    SCOPED_TRACE(overrides[0]);
    fs::remove_all(scratch_ / "run");
    try {
      train(overrides);
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code) << error.what();
      expect_contains(std::string(error.what()) + " | " + error.remedy(), fragments);
    }
  }
}

TEST_F(TrainTest, AFaultyStepIsLeftOutIfAskedTo) {
  // The text's last token: one window of every epoch meets it.
  tiny::write_model(scratch_ / "model", [](json&, tiny::Tensors& tensors) {
    tensors["model.embed_tokens.weight"][1].fill_(NAN);
  });
  const std::string end = "data.train.files=[" + text("text.txt") + "," + text("end.txt") + "]";
  tiny::write_text(scratch_ / "end.txt", 40);
  write_config("epochs: 1, log_every: 1, on_nan: skip");

  train({end});

  const auto rows = metrics();
  const auto faulty =
      std::ranges::count_if(rows, [](const json& row) { return row["loss"].is_null(); });
  EXPECT_GE(faulty, 1);
  EXPECT_LE(faulty, 2);
  EXPECT_TRUE(rows.back()["loss"].is_number() || rows.front()["loss"].is_number());
  expect_contains(bytes_in(scratch_ / "run/log.txt"),
                  {"1 steps since step ", "had NaN or infinite gradients and were left out"});
  fs::remove_all(scratch_ / "run");
  EXPECT_THROW(train({end, "train.on_nan=stop"}), Error);
}

TEST_F(TrainTest, AFullDiskLeavesTheLastGoodCheckpoint) {
  train({"train.steps=4"}, "other");
  const auto size = fs::file_size(scratch_ / "other/train/affine/checkpoints/step-00000004" /
                                  "state.safetensors");
  write_config("steps: 6, log_every: 100, checkpoint_every: 2, keep: 1");
  {
    const WriteLimit limit(size / 2);
    const auto sentence = sentence_of<IoError>([&] { train(); });
    expect_contains(sentence, {"the checkpoint of step 2 could not be written"});
  }
  EXPECT_TRUE(checkpoints().empty());
  train({"train.steps=6"});
  EXPECT_EQ(checkpoints(), std::vector<std::string>{"step-00000006"});
}

TEST_F(TrainTest, ADamagedCheckpointIsPassedOver) {
  train({}, "undisturbed");
  train();
  fs::remove_all(scratch_ / "run/artifacts");
  const auto checkpoint = [&](int step) {
    return scratch_ / "run/train/affine/checkpoints" / ("step-0000000" + std::to_string(step));
  };
  const auto damage = [](const fs::path& file, size_t from_end) {
    std::string content = bytes_in(file);
    content[content.size() - from_end] ^= 1;
    std::ofstream(file, std::ios::binary) << content;
  };
  damage(checkpoint(6) / "state.safetensors", 5);
  fs::remove(checkpoint(4) / "COMPLETE");

  train();

  EXPECT_TRUE(packed() == packed("undisturbed"));
  EXPECT_EQ(metrics(), metrics("affine", "undisturbed"));
  fs::remove_all(scratch_ / "run/artifacts");
  for (const int step : {2, 4, 6}) damage(checkpoint(step) / "state.json", 10);
  expect_contains(sentence_of<DataError>([&] { train(); }),
                  {"no checkpoint in ", "is sound", "state.json is damaged", "delete the folder"});
}

TEST_F(TrainTest, AStopSignalSavesACheckpointAndTheRunGoesOnLater) {
  write_config("steps: 80, log_every: 2, checkpoint_every: 0");
  train({}, "undisturbed");
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(::open("/dev/null", O_WRONLY), 2);
    try {
      train();
    } catch (const Error& error) {
      ::_exit(static_cast<int>(error.code()));
    }
    ::_exit(0);
  }
  const auto file = scratch_ / "run/train/affine/metrics.jsonl";
  for (int i = 0; i < 2000 && (!fs::exists(file) || fs::file_size(file) == 0); ++i) ::usleep(2000);
  ::kill(child, SIGTERM);
  int status = 0;
  ::waitpid(child, &status, 0);

  EXPECT_EQ(WEXITSTATUS(status), 75);
  ASSERT_EQ(checkpoints().size(), 1u);
  EXPECT_NE(checkpoints()[0], "step-00000080");
  train();
  EXPECT_TRUE(packed() == packed("undisturbed"));
  EXPECT_EQ(metrics(), metrics("affine", "undisturbed"));
}

TEST_F(TrainTest, TheLearningRateFollowsItsSchedule) {
  write_config("steps: 4, log_every: 1, lr_schedule: {use: linear, options: {warmup_ratio: 0}}");

  train();

  const auto rows = metrics();
  ASSERT_EQ(rows.size(), 4u);
  for (size_t i = 1; i < rows.size(); ++i)
    EXPECT_LT(rows[i]["lr"].get<double>(), rows[i - 1]["lr"].get<double>());
}

TEST_F(TrainTest, LearnsFromTheBaseModelIfAskedTo) {
  write_config("steps: 12, log_every: 4, distill: {weight: 1, temperature: 2}");

  train();

  const auto rows = metrics();
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_GT(rows.front()["distill_kl"].get<double>(), 0.01);
  EXPECT_LT(rows.back()["distill_kl"].get<double>(), rows.front()["distill_kl"].get<double>());
}

TEST_F(TrainTest, SensitivitiesOfAnotherModelAreRefused) {
  write_file_atomically(scratch_ / "sensitivity.json", json{{"format", 1},
                                                            {"quantity", "hessian_trace"},
                                                            {"model_fingerprint", "0123"},
                                                            {"data_fingerprint", ""},
                                                            {"entries", json::array()}}
                                                           .dump());
  write_config("steps: 2",
               "quantizer: {use: affine, options: {bits: 2, group_size: 32}}\n"
               "scheduler: {use: constant, sensitivity: " +
                   text("sensitivity.json") + "}\n");

  const auto sentence = sentence_of<DataError>([&] { train(); });

  expect_contains(sentence, {"sensitivity.json", "model"});
}

}  // namespace
}  // namespace qtk::stage
