// The stage that measures sensitivities, on the tiny model.
#include "base/logging.hpp"
#include "kill_run.hpp"
#include "run_fixture.hpp"

namespace qtk::stage {
namespace {

class CalibrateTest : public testing::Test {
 protected:
  CalibrateTest() {
    tiny::write_model(scratch_ / "model");
    tiny::write_text(scratch_ / "text.txt", 400);
  }
  /// @param estimator  its section as a YAML flow map
  RunRequest request(const std::string& estimator, const std::string& folder,
                     const std::string& model = "model") const {
    const auto config = scratch_ / (folder + ".yaml");
    write_file_atomically(config,
                          "qtk: 1\nname: tiny\nseed: 3\ndevice: cpu\nthreads: 1\nmodel: {path: " +
                              (scratch_ / model).string() + "}\ndata: {calib: {files: [" +
                              (scratch_ / "text.txt").string() +
                              "], ctx: 16, batches: 2, batch_size: 2}}\nestimator: " + estimator +
                              "\nstages: [import, calibrate]\n");
    return {.config = config, .folder = scratch_ / folder, .command = "qtk run"};
  }
  tiny::json calibrated(const std::string& estimator, const std::string& folder) const {
    run(request(estimator, folder));
    return tiny::json::parse(bytes_in(result_of(folder)));
  }
  fs::path result_of(const std::string& folder) const {
    return scratch_ / folder / "stages/calibrate/sensitivity.json";
  }
  static std::map<std::string, double> values(const tiny::json& table) {
    std::map<std::string, double> values;
    for (const auto& entry : table["entries"]) values[entry["site"]] = entry["value"];
    return values;
  }

  TemporaryFolder scratch_;
};

TEST_F(CalibrateTest, EveryEstimatorMeasuresEverySiteButTheHead) {
  for (const std::string options :
       {"hutchpp, options: {num_sketch: 2, num_query: 2}", "hutchinson, options: {num_query: 2}",
        "hutchinson, options: {num_query: 2, hvp: differences}", "fisher", "grad_norm",
        "hessian_vhp, options: {iterations: 2}"}) {
    SCOPED_TRACE(options);
    const std::string folder = "r" + std::to_string(std::hash<std::string>()(options));

    const auto table = calibrated("{use: " + options + "}", folder);

    EXPECT_EQ(table["entries"].size(), 14u);
    EXPECT_EQ(table["skipped"], tiny::json({"lm_head"}));
    EXPECT_EQ(table["model"].get<std::string>().size(), 32u);
    EXPECT_EQ(table["data"].get<std::string>().size(), 32u);
    EXPECT_GT(table["gradient_passes"].get<int64_t>(), 0);
    EXPECT_FALSE(fs::exists(scratch_ / folder / "stages/calibrate/journal.jsonl"));
  }
}

TEST_F(CalibrateTest, GranularitiesReallyAverage) {
  const auto single = values(calibrated("{use: fisher}", "tensor"));
  const auto mean_over = [&](const std::vector<std::string>& sites) {
    double sum = 0;
    for (const auto& site : sites) sum += single.at(site);
    return sum / static_cast<double>(sites.size());
  };
  const std::string q0 = "model.layers.0.self_attn.q_proj", q1 = "model.layers.1.self_attn.q_proj",
                    up1 = "model.layers.1.mlp.up_proj", down0 = "model.layers.0.mlp.down_proj";

  const auto component = values(calibrated("{use: fisher, granularity: component}", "component")),
             layer = values(calibrated("{use: fisher, granularity: layer}", "layer")),
             groups = values(calibrated(
                 "{use: fisher, granularity: [\"re:.*1.mlp.up_proj|.*0.self_attn.q_proj\"]}",
                 "groups"));

  EXPECT_DOUBLE_EQ(component.at(q0), mean_over({q0, q1}));
  EXPECT_EQ(component.at(q0), component.at(q1));
  std::vector<std::string> of_block_1;
  for (const auto& [site, value] : single)
    if (site.starts_with("model.layers.1.")) of_block_1.push_back(site);
  EXPECT_NEAR(layer.at(q1), mean_over(of_block_1), 1e-12 * layer.at(q1));
  EXPECT_EQ(layer.at(up1), layer.at(q1));
  EXPECT_DOUBLE_EQ(groups.at(q0), mean_over({q0, up1}));
  EXPECT_EQ(groups.at(q0), groups.at(up1));
  EXPECT_EQ(groups.at(down0), single.at(down0));
}

TEST_F(CalibrateTest, ASiteHasItsValueWhicheverOthersAreMeasured) {
  const std::string options = "options: {num_sketch: 2, num_query: 3}";

  const auto all = values(calibrated("{use: hutchpp, " + options + "}", "all")),
             some = values(calibrated(
                 "{use: hutchpp, targets: [\"re:.*up_proj\"], " + options + "}", "some"));

  EXPECT_EQ(some.size(), 2u);
  for (const auto& [site, value] : some)
    EXPECT_NEAR(value, all.at(site), 1e-4 * std::abs(value)) << site;
}

TEST_F(CalibrateTest, KilledAnywhereItGivesTheSameBytes) {
  for (const std::string estimator :
       {"{use: hutchpp, options: {num_sketch: 2, num_query: 2}}",
        "{use: hutchinson, options: {num_query: 16}}",
        "{use: hutchinson, options: {num_query: 12, num_sketch: 3}}", "{use: fisher}"}) {
    SCOPED_TRACE(estimator);
    const std::string name = "k" + std::to_string(std::hash<std::string>()(estimator));
    run(request(estimator, name));
    int killed = 0;
    for (const int64_t lines : {2, 3, 4}) {
      const std::string folder = name + "-" + std::to_string(lines);
      DoomedRun doomed(request(estimator, folder));
      doomed.await_lines(scratch_ / folder / "stages/calibrate/journal.jsonl", lines);
      killed += doomed.kill();

      run(request(estimator, folder));

      EXPECT_EQ(bytes_in(result_of(folder)), bytes_in(result_of(name)));
    }
    EXPECT_GE(killed, 1);
  }
}

TEST_F(CalibrateTest, AFileOfTheSameModelIsTakenOver) {
  run(request("{use: grad_norm}", "first"));

  run(request("{file: " + result_of("first").string() + "}", "second"));

  EXPECT_EQ(bytes_in(result_of("second")), bytes_in(result_of("first")));
}

TEST_F(CalibrateTest, AFileOfAnotherModelIsRefused) {
  run(request("{use: grad_norm}", "first"));
  tiny::write_model(scratch_ / "other", {}, {}, /*seed=*/2);

  const auto sentence = sentence_of<DataError>(
      [&] { run(request("{file: " + result_of("first").string() + "}", "second", "other")); });

  expect_contains(sentence, {"was measured on the model with fingerprint", "measure again"});
  EXPECT_FALSE(fs::exists(result_of("second")));
}

TEST_F(CalibrateTest, ATextShorterThanTheSamplesIsRefused) {
  tiny::write_text(scratch_ / "text.txt", 8);

  const auto sentence = sentence_of<DataError>([&] { run(request("{use: grad_norm}", "short")); });

  expect_contains(sentence, {"the calibration texts have", "samples of 16", "expected 4"});
}

TEST_F(CalibrateTest, AModelWithoutFiniteLossIsRefused) {
  tiny::write_model(scratch_ / "broken", [](auto&, tiny::Tensors& tensors) {
    tensors["model.norm.weight"].fill_(std::numeric_limits<float>::quiet_NaN());
  });

  const auto sentence =
      sentence_of<DataError>([&] { run(request("{use: fisher}", "nan", "broken")); });

  expect_contains(sentence, {"none of the 14 sensitivities is a finite number", "qtk eval"});
}

TEST_F(CalibrateTest, TargetsThatNameNothingAreRefused) {
  const auto sentence = sentence_of<ConfigError>(
      [&] { run(request("{use: fisher, targets: [no_such_layer]}", "none")); });

  expect_contains(sentence, {"leave no linear layer", "qtk inspect"});
}

}  // namespace
}  // namespace qtk::stage
