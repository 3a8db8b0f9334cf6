// Training from a configuration to a packed model that the later stages read.
#include "train_fixture.hpp"

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
  EXPECT_TRUE(fs::exists(scratch_ / "run/report.html"));
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

}  // namespace
}  // namespace qtk::stage
