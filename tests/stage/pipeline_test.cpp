// A run from end to end, and what starting it again does.
#include "run_fixture.hpp"

#include <unistd.h>

namespace qtk::stage {
namespace {

using Names = std::set<std::string>;

TEST_F(RunTest, LeavesEveryFileThatTheRunFolderPromises) {
  const auto lines = run_again();

  for (const char* name : {"config.yaml",
                           "resolved.yaml",
                           "command.txt",
                           "env.json",
                           "fingerprint.json",
                           "status.json",
                           "log.txt",
                           "report.html",
                           "model/config.json",
                           "model/model.safetensors",
                           "model/tokenizer.json",
                           "stages/import.json",
                           "stages/quantize.w4.json",
                           "stages/quantize.w2.json",
                           "stages/eval.base.json",
                           "stages/eval.w4.json",
                           "stages/export.w4.0.json",
                           "stages/export.w4.1.json",
                           "stages/export.w2.0.json",
                           "stages/report.json",
                           "artifacts/w4/packed/config.json",
                           "artifacts/w4/packed/model.safetensors.index.json",
                           "artifacts/w4/sites.json",
                           "artifacts/w4/gguf-Q4_0.gguf",
                           "artifacts/w4/hf-dense-f32/config.json",
                           "artifacts/w2/packed/config.json",
                           "artifacts/w2/gguf-Q4_0.gguf",
                           "eval/base.json",
                           "eval/w4.json",
                           "eval/w2.json"})
    EXPECT_TRUE(fs::exists(folder_ / name)) << name;
  EXPECT_FALSE(fs::exists(folder_ / "artifacts/w2/hf-dense-f32"));
  EXPECT_TRUE(leftovers_in(folder_).empty());
  EXPECT_EQ(bytes_in(folder_ / "config.yaml"), bytes_in(config_));
  EXPECT_EQ(bytes_in(folder_ / "command.txt"), "qtk run test.yaml\n");
  EXPECT_EQ(read_json("status.json")["state"], "finished");
  EXPECT_EQ(read_json("status.json")["exit_code"], 0);
  EXPECT_EQ(lines.back(), "report: " + (folder_ / "report.html").string());
}

TEST_F(RunTest, FiguresAgreeWithOneAnother) {
  const auto lines = run_again();

  const auto base = read_json("eval/base.json"), w4 = read_json("eval/w4.json"),
             w2 = read_json("eval/w2.json"), sites = read_json("artifacts/w4/sites.json");
  EXPECT_EQ(base["results"][0]["protocol"], "ppl_token/ctx=32");
  EXPECT_EQ(base["results"][1]["protocol"], "ppl_word/lm_eval");
  EXPECT_EQ(w4["results"][0]["tokens"], 8 * 31);
  EXPECT_FALSE(base.contains("comparison"));
  EXPECT_LT(w4["comparison"]["kl_mean"], w2["comparison"]["kl_mean"]);
  EXPECT_GT(w4["comparison"]["top1"], w2["comparison"]["top1"]);
  double bits = 0, weights = 0;
  for (const auto& site : sites["sites"]) {
    bits += site["bits"].get<double>();
    weights += site["weights"].get<double>();
  }
  EXPECT_EQ(sites["description"], "affine, bits 4, group_size 32");
  EXPECT_DOUBLE_EQ(w4["bits_per_weight"], bits / weights);
  // An fp32 scale and a 4-bit zero point per group; three zero points of down_proj fill two bytes.
  EXPECT_EQ(bits, 61440 * (4 + 36.0 / 32) + 2 * 64 * 4);
  EXPECT_LT(w2["tensor_bytes"], w4["tensor_bytes"]);
  EXPECT_LT(w4["tensor_bytes"], base["tensor_bytes"]);
  const std::string report = bytes_in(folder_ / "report.html");
  for (const char* text : {"ppl_token/ctx=32", "w4", "w2", "gguf Q4_0", "bits 2, group_size 32"})
    EXPECT_NE(report.find(text), std::string::npos) << text;
  EXPECT_NE(lines[0].find("base"), std::string::npos);
}

TEST_F(RunTest, StartedAgainItDoesNothingAgain) {
  run_again();
  const auto before = contents_of(folder_ / "artifacts");
  age_files();

  run_again();

  EXPECT_EQ(fresh_results(), Names());
  EXPECT_EQ(contents_of(folder_ / "artifacts"), before);
}

TEST_F(RunTest, UntilStopsBehindAStageAndTheRestFollowsLater) {
  auto first = request();
  first.until = "quantize";
  run(first);
  EXPECT_TRUE(fs::exists(folder_ / "stages/quantize.w2.json"));
  EXPECT_FALSE(fs::exists(folder_ / "eval"));
  EXPECT_FALSE(fs::exists(folder_ / "report.html"));
  EXPECT_EQ(read_json("status.json")["state"], "finished");
  age_files();

  run_again();

  const auto fresh = fresh_results();
  EXPECT_TRUE(fresh.contains("eval/w2.json"));
  EXPECT_TRUE(fresh.contains("artifacts/w2/gguf-Q4_0.gguf"));
  EXPECT_FALSE(fresh.contains("stages/quantize.w2.json"));
  EXPECT_FALSE(fresh.contains("stages/import.json"));
  EXPECT_TRUE(fs::exists(folder_ / "report.html"));
}

TEST_F(RunTest, OnlyTheStepOfAMissingFileIsDoneAgain) {
  run_again();
  const std::string packed = "artifacts/w2/packed/",
                    shard = packed + "model-00002-of-00003.safetensors";
  const std::vector<std::pair<std::string, Names>> cases = {
      {"eval/w2.json", {"eval/w2.json", "stages/eval.w2.json"}},
      {"eval/base.json", {"eval/base.json", "stages/eval.base.json"}},
      {"artifacts/w2/gguf-Q4_0.gguf",
       {"artifacts/w2/gguf-Q4_0.gguf", "stages/export.w2.0.json",
        "stages/export.w2.0.export.json"}},
      {shard,
       {shard, packed + "config.json", packed + "model.safetensors.index.json",
        packed + "tokenizer.json", packed + "tokenizer_config.json",
        packed + "generation_config.json", packed + "special_tokens_map.json",
        "artifacts/w2/sites.json", "stages/quantize.w2.json"}}};
  for (const auto& [missing, expected] : cases) {
    const std::string content = bytes_in(folder_ / missing);
    age_files();
    fs::remove(folder_ / missing);

    run_again();

    EXPECT_EQ(fresh_results(), expected) << missing;
    if (!missing.ends_with(".json")) {
      EXPECT_EQ(bytes_in(folder_ / missing), content) << missing;
    }
  }
}

TEST_F(RunTest, AFileOfAnotherSizeCountsAsMissing) {
  run_again();
  const std::string whole = bytes_in(folder_ / "artifacts/w4/gguf-Q4_0.gguf");
  std::ofstream(folder_ / "artifacts/w4/gguf-Q4_0.gguf") << whole.substr(0, 1000);

  run_again();

  EXPECT_EQ(bytes_in(folder_ / "artifacts/w4/gguf-Q4_0.gguf"), whole);
}

TEST_F(RunTest, OtherInputsAreRefusedByNamingTheFirstDifference) {
  run_again();
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"seed=7", "seed was 1234, is 7"},
      {"data.eval.ctx=64", "data.eval.ctx was 32, is 64"},
      {"quantizer.options.symmetric=true", "quantizer.options.symmetric was false, is true"},
      {"variants.0.options.bits=3", "variants.0.options.bits was 4, is 3"}};
  for (const auto& [change, difference] : cases)
    expect_contains(sentence_of<ConfigError>([&] { run_again({change}); }),
                    {"refusing to resume " + folder_.string(), difference, "--resume=never"});
  tiny::write_text(scratch_ / "text.txt", 401);
  expect_contains(sentence_of<ConfigError>([&] { run_again(); }),
                  {"refusing to resume", "content of data.eval.files[0]"});
}

TEST_F(RunTest, NamesAndPlacesAreNoInputs) {
  run_again();
  age_files();

  run_again({"report.html=true", "out=elsewhere"});

  EXPECT_EQ(fresh_results(), Names());
}

TEST_F(RunTest, ResumeNeverStartsAfresh) {
  run_again();
  const auto before = contents_of(folder_ / "artifacts/w4/packed");
  age_files();
  auto afresh = request();
  afresh.resume = Resume::kNever;

  run(afresh);
  const auto fresh = fresh_results();
  afresh.overrides = {"variants.0.options.bits=8"};
  run(afresh);

  for (const char* name : {"stages/import.json", "model/model.safetensors", "eval/w2.json"})
    EXPECT_TRUE(fresh.contains(name)) << name;
  EXPECT_NE(contents_of(folder_ / "artifacts/w4/packed"), before);
  EXPECT_EQ(read_json("artifacts/w4/sites.json")["description"], "affine, bits 8, group_size 32");
}

TEST_F(RunTest, AFolderInUseIsRefused) {
  run_again();
  RunIdentity identity{"tiny", {}};
  identity.inputs = read_json("fingerprint.json")["inputs"];
  const auto held = RunFolder::at(folder_, identity, Resume::kAuto);

  expect_contains(sentence_of<ConfigError>([&] { run_again(); }),
                  {"another qtk is working in " + folder_.string(), "choose another --out"});
}

TEST_F(RunTest, AFolderOfOtherThingsIsRefused) {
  fs::create_directories(folder_);
  std::ofstream(folder_ / "thesis.tex") << "...";

  expect_contains(sentence_of<ConfigError>([&] { run_again(); }),
                  {folder_.string(), "not empty and not a run folder", "--out"});
  EXPECT_EQ(contents_of(folder_).size(), 1u);
}

TEST_F(RunTest, WithoutAFolderTheNewestOfTheSameInputsGoesOn) {
  auto loose = request();
  loose.folder.reset();
  const auto folders = [&] {
    Names names;
    for (const auto& entry : fs::directory_iterator(scratch_ / "runs"))
      names.insert(entry.path().filename().string());
    return names;
  };
  run(loose);
  const auto first = folders();
  run(loose);
  const auto second = folders();
  loose.overrides = {"seed=7"};
  run(loose);

  EXPECT_EQ(first.size(), 1u);
  EXPECT_NE(first.begin()->find("-tiny-"), std::string::npos);
  EXPECT_EQ(second, first);
  EXPECT_EQ(folders().size(), 2u);
}

TEST_F(RunTest, TheResolvedConfigurationGivesTheSameResultsFromAnotherFolder) {
  const fs::path home = fs::current_path();
  write_config("", "./");
  fs::create_directories(scratch_ / "elsewhere");
  fs::current_path(scratch_.path());
  run_again();
  auto repeated = request();
  repeated.config = folder_ / "resolved.yaml";
  repeated.folder = scratch_ / "again";

  fs::current_path(scratch_ / "elsewhere");
  run(repeated);
  fs::current_path(home);

  for (const char* name : {"base", "w4", "w2"}) {
    const std::string file = std::string("eval/") + name + ".json";
    EXPECT_EQ(without_speed(tiny::json::parse(bytes_in(scratch_ / "again" / file))),
              without_speed(read_json(file)));
  }
  EXPECT_EQ(contents_of(scratch_ / "again/artifacts/w2/packed"),
            contents_of(folder_ / "artifacts/w2/packed"));
}

TEST_F(RunTest, AFailureIsInTheStatusAndFinishedStepsStay) {
  expect_contains(sentence_of<DataError>([&] { run_again({"data.eval.ctx=100000"}); }),
                  {"fewer than one window of 100000"});

  const auto status = read_json("status.json");
  EXPECT_EQ(status["state"], "failed");
  EXPECT_EQ(status["step"], "eval");
  EXPECT_EQ(status["exit_code"], 4);
  EXPECT_TRUE(fs::exists(folder_ / "stages/quantize.w2.json"));
}

TEST_F(RunTest, AFolderModelIsUsedWhereItLies) {
  run_again({"model.path=" + (scratch_ / "source").string()});

  EXPECT_FALSE(fs::exists(folder_ / "model"));
  EXPECT_FALSE(fs::exists(folder_ / "stages/import.json"));
  EXPECT_TRUE(fs::exists(folder_ / "eval/w2.json"));
}

}  // namespace
}  // namespace qtk::stage
