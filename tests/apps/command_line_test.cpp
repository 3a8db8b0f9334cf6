// Command lines that other programs and people rely on.
#include "base/hash.hpp"
#include "format/gguf.hpp"
#include "program_fixture.hpp"
#include "text/corpus.hpp"
#include "text/tokenizer.hpp"

#include <deque>
#include <sstream>

namespace qtk {
namespace {

TEST_F(ProgramTest, EveryVerbExplainsItself) {
  const std::vector<std::pair<std::string, std::string>> verbs = {
      {"run", "qtk run configs/quickstart.yaml --set"},
      {"launch", "qtk launch --nproc 4 run"},
      {"validate", "qtk validate configs/*.yaml"},
      {"list", "qtk list quantizer"},
      {"describe", "qtk describe affine --yaml"},
      {"import", "qtk import --gguf"},
      {"eval", "qtk eval --model"},
      {"export", "qtk export --model"},
      {"inspect", "qtk inspect --model"},
      {"doctor", "qtk doctor"},
      {"tokenize", "qtk tokenize --model "},
      {"simulate", "qtk simulate run.yaml --gflops"},
      {"bench", "qtk bench comm --shape"},
      {"schema", "qtk schema >"}};
  const auto overview = qtk({"--help"});
  EXPECT_EQ(overview.code, 0);
  std::deque<Program> programs;
  for (const auto& [verb, example] : verbs)
    programs.emplace_back(std::vector<std::string>{verb, "--help"});
  for (const auto& [verb, example] : verbs) {
    const auto help = programs.front().finish();
    programs.pop_front();

    EXPECT_EQ(help.code, 0) << verb;
    EXPECT_EQ(help.err, "") << verb;
    expect_contains(help.out, {"Usage: qtk " + verb, "Example:\n  " + example, "--help"});
    expect_contains(overview.out, {"\n  " + verb + " "});
  }
}

TEST_F(ProgramTest, VersionNamesTheLibraryBelow) {
  const auto version = qtk({"--version"});

  EXPECT_EQ(version.code, 0);
  expect_contains(version.out, {"qtk 0.", "LibTorch 2."});
}

TEST_F(ProgramTest, WordsThatAreNoneAreRefusedWithTheNearest) {
  struct Case {
    std::vector<std::string> arguments, fragments;
  };
  const std::vector<Case> cases = {
      {{"evall"}, {"error[config]: unknown verb 'evall'; did you mean 'eval'?", "verbs: run"}},
      {{"eval", "--modle", "x"},
       {"unknown flag --modle; did you mean --model?", "usage: qtk eval"}},
      {{"eval", "--text", "x"}, {"--model is missing", "usage: qtk eval"}},
      {{"eval", "--model", "m", "--ctx", "many"}, {"many", "--ctx", "usage: qtk eval"}},
      {{"eval", "--model"}, {"--model", "missing"}},
      {{"run"}, {"--config is missing", "usage: qtk run CONFIG"}},
      {{"validate"}, {"no configuration given"}},
      {{"list", "quantiser"}, {"unknown kind 'quantiser'", "quantizer"}},
      {{"describe", "afine"}, {"unknown plugin 'afine'; did you mean 'affine'?", "known: "}}};
  std::deque<Program> programs;
  for (const auto& refused : cases) programs.emplace_back(refused.arguments);
  for (size_t i = 0; i < cases.size(); ++i) {
    const auto outcome = programs[i].finish();
    EXPECT_EQ(outcome.code, 2) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    expect_contains(outcome.err, cases[i].fragments);
  }
}

TEST_F(ProgramTest, ImportMakesAFolderThatEvalReads) {
  const auto imported = qtk({"import", "--gguf", inputs_.text("model.gguf"), "--out", here("m")});
  const auto evaluated =
      qtk({"eval", "--model", here("m"), "--text", inputs_.text("text.txt"), "--protocol",
           "ppl_token", "--ctx", "64", "--windows", "4", "--json"});
  const auto original =
      qtk({"eval", "--model", inputs_.text("model"), "--text", inputs_.text("text.txt"),
           "--protocol", "ppl_token", "--ctx", "64", "--windows", "4", "--json"});

  ASSERT_EQ(imported.code, 0) << imported.err;
  ASSERT_EQ(evaluated.code, 0) << evaluated.err;
  const auto found = json::parse(evaluated.out), expected = json::parse(original.out);
  EXPECT_EQ(found["protocol"], "ppl_token/ctx=64");
  EXPECT_EQ(found["tokens"], 4 * 63);
  EXPECT_EQ(found["ppl"], expected["ppl"]);
  EXPECT_GT(found["ppl"], 1);
}

TEST_F(ProgramTest, EvalComparesWithABase) {
  const auto outcome = qtk({"eval", "--model", inputs_.text("model"), "--base",
                            inputs_.text("model"), "--text", inputs_.text("text.txt"), "--protocol",
                            "ppl_llamacpp", "--ctx", "64", "--windows", "2", "--json"});

  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto found = json::parse(outcome.out);
  EXPECT_NEAR(found["comparison"]["kl_max"], 0, 1e-6);
  EXPECT_EQ(found["comparison"]["top1"], 1);
}

TEST_F(ProgramTest, InspectHashesTheIdsOfAText) {
  const auto ids =
      text::Tokenizer::load(inputs_ / "model").encode(text::read_text(inputs_ / "text.txt"));
  std::string bytes;
  for (const int32_t id : ids)
    for (int shift = 0; shift < 32; shift += 8) bytes += static_cast<char>(id >> shift);

  const auto outcome = qtk({"inspect", "--tokenize", "--model", inputs_.text("model"), "--text",
                            inputs_.text("text.txt"), "--json"});

  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto found = json::parse(outcome.out);
  EXPECT_EQ(found["count"], ids.size());
  EXPECT_EQ(found["sha256"], sha256(std::as_bytes(std::span(bytes))));
  EXPECT_EQ(found["head"], std::vector<int32_t>(ids.begin(), ids.begin() + 16));
}

TEST_F(ProgramTest, InspectListsTensors) {
  for (const char* name : {"model", "model.gguf", "model/model.safetensors"}) {
    const auto outcome = qtk({"inspect", "--model", inputs_.text(name), "--json"});

    ASSERT_EQ(outcome.code, 0) << outcome.err;
    const auto found = json::parse(outcome.out);
    EXPECT_EQ(found["count"], 21);
    EXPECT_EQ(found["bytes"], 4 * found["elements"].get<int64_t>());
  }
}

TEST_F(ProgramTest, RunTakesOverridesAndAFolder) {
  const auto outcome = qtk({"run", inputs_.text("tiny.yaml"), "--set", "quantizer.options.bits=3",
                            "--set", "seed=9", "--out", here("r")});

  ASSERT_EQ(outcome.code, 0) << outcome.err;
  expect_contains(outcome.out, {"base", "affine", "ppl_token/ctx=64", "bpw",
                                "report: " + here("r/report.html")});
  expect_contains(file_content(here("r/command.txt")),
                  {"qtk run ", "--set quantizer.options.bits=3", "--out " + here("r")});
  expect_contains(file_content(here("r/resolved.yaml")), {"seed: 9", "bits: 3"});
  EXPECT_EQ(qtk({"run", here("r/config.yaml"), "--out", here("r")}).code, 2);  // other inputs
}

TEST_F(ProgramTest, QuietKeepsStderrEmpty) {
  const auto outcome =
      qtk({"run", inputs_.text("tiny.yaml"), "--out", here("r"), "--until", "quantize", "-q"});

  EXPECT_EQ(outcome.code, 0);
  EXPECT_EQ(outcome.err, "");
}

TEST_F(ProgramTest, ValidateReportsAllConfigurationsAsJson) {
  const auto bad = write("bad.yaml", inputs_.configuration("sed: 7\n"));

  const auto outcome = qtk({"validate", inputs_.text("tiny.yaml"), bad, "--json"});

  EXPECT_EQ(outcome.code, 2);
  const auto found = json::parse(outcome.out);
  EXPECT_EQ(found["valid"], false);
  EXPECT_EQ(found["configs"][0]["valid"], true);
  EXPECT_EQ(found["configs"][1]["valid"], false);
  expect_contains(found["configs"][1]["errors"], {"sed", "seed", "bad.yaml:8:1"});
}

TEST_F(ProgramTest, PluginsAreListedAndDescribed) {
  const auto listed = qtk({"list", "--json"}), described = qtk({"describe", "affine", "--json"}),
             schema = qtk({"describe", "affine", "--schema"}),
             yaml = qtk({"describe", "affine", "--yaml"}), whole = qtk({"schema"});

  const auto plugins = json::parse(listed.out);
  EXPECT_TRUE(std::ranges::any_of(plugins, [](const json& plugin) {
    return plugin["name"] == "affine" && plugin["kind"] == "quantizer" && plugin["problem"] == "";
  }));
  const auto affine = json::parse(described.out);
  EXPECT_EQ(affine["options"][0]["name"], "bits");
  EXPECT_EQ(affine["options"][0]["minimum"], 2);
  EXPECT_EQ(affine["options"][0]["searchable"], true);
  EXPECT_EQ(json::parse(schema.out)["properties"]["bits"]["anyOf"][0]["maximum"], 8);
  const auto properties = json::parse(whole.out)["properties"];
  EXPECT_TRUE(properties.contains("quantizer"));
  EXPECT_NE(whole.out.find("scale_rule"), std::string::npos);
  expect_contains(yaml.out, {"quantizer:\n  use: affine\n  options:\n", "bits: 4"});
  for (const auto* outcome : {&listed, &described, &schema, &yaml, &whole})
    EXPECT_EQ(outcome->err, "");
}

TEST_F(ProgramTest, TheYamlOfDescribeIsAConfiguration) {
  const auto yaml = qtk({"describe", "affine", "--yaml"}).out;
  std::string configuration = inputs_.configuration();
  const auto start = configuration.find("quantizer:"), end = configuration.find('\n', start);
  configuration.replace(start, end + 1 - start, yaml);

  const auto outcome = qtk({"validate", write("pasted.yaml", configuration)});

  EXPECT_EQ(outcome.code, 0) << outcome.err << configuration;
}

TEST_F(ProgramTest, DoctorAnswersInJson) {
  const auto outcome = qtk({"doctor", "--json"});

  const auto found = json::parse(outcome.out);
  EXPECT_EQ(outcome.code, found["good"].get<bool>() ? 0 : 3);
  EXPECT_TRUE(std::ranges::any_of(found["findings"], [](const json& finding) {
    return finding["what"] == "plugin" &&
           finding["value"].get<std::string>().starts_with("quantizer affine");
  }));
}

TEST_F(ProgramTest, ExportWritesGguf) {
  const auto outcome = qtk({"export", "--model", inputs_.text("model"), "--use", "gguf", "--type",
                            "Q8_0", "--out", here("m.gguf"), "--json"});

  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto found = json::parse(outcome.out);
  EXPECT_EQ(found["format"], "gguf Q8_0");
  EXPECT_EQ(found["files"], json::array({here("m.gguf")}));
  EXPECT_EQ(found["check"], "re-read, 21 tensors equal");
  const auto file = format::GgufFile::open(here("m.gguf"));
  EXPECT_EQ(file.info("token_embd.weight").type, &format::ggml_type("Q8_0"));
  EXPECT_EQ(found["bytes"], file.file_bytes());
}

TEST_F(ProgramTest, ResultsThatCannotBePrintedAreAnError) {
  const auto outcome = qtk({"list", "--json"}, {.folder = ".", .out = "/dev/full"});

  EXPECT_EQ(outcome.code, 74);
  expect_contains(outcome.err, {"error[io]"});
}

TEST_F(ProgramTest, AnEvaluationThatCannotBePrintedIsAnError) {
  const auto o = qtk(
      {"eval", "--model", inputs_.text("model"), "--text", inputs_.text("text.txt"), "--ctx", "64"},
      {.folder = ".", .out = "/dev/full"});
  EXPECT_EQ(o.code, 74) << o.err;
}

TEST_F(ProgramTest, HelpThatCannotBePrintedIsAnError) {
  const auto o = qtk({"eval", "--help"}, {.folder = ".", .out = "/dev/full"});
  EXPECT_EQ(o.code, 74) << o.err;
}

TEST_F(ProgramTest, ShortTextNamesTheFile) {
  const auto o = qtk({"eval", "--model", inputs_.text("model"), "--text", inputs_.text("text.txt"),
                      "--ctx", "50000"});
  expect_contains(o.err, {inputs_.text("text.txt")});
}

TEST_F(ProgramTest, NegativeNumbersAreRefused) {
  for (const char* flag : {"--threads", "--windows", "--batch-tokens"}) {
    const auto o = qtk({"eval", "--model", inputs_.text("model"), "--text",
                        inputs_.text("text.txt"), "--ctx", "64", flag, "-3"});
    EXPECT_EQ(o.code, 2) << flag << o.err;
  }
}

TEST_F(ProgramTest, ASuperfluousWordIsNamed) {
  const auto o = qtk({"run", inputs_.text("tiny.yaml"), "surplus"});
  EXPECT_EQ(o.code, 2);
  expect_contains(o.err, {"surplus"});
}

/// The files they name are fetched by other commands; everything else must be right.
TEST_F(ProgramTest, TheRecipesHaveNoFaultButMissingFiles) {
  int64_t recipes = 0;
  for (const auto& entry : fs::directory_iterator(fs::path(QTK_SOURCE_DIR) / "configs")) {
    if (entry.path().extension() != ".yaml") continue;
    ++recipes;
    const auto outcome = qtk({"validate", entry.path().string()}, {.folder = scratch_.path()});

    std::istringstream lines(outcome.err);
    for (std::string line; std::getline(lines, line);)
      EXPECT_TRUE(!line.starts_with("error[") || line.find("there is no file") != line.npos)
          << line;
    EXPECT_EQ(outcome.err.find("warning: "), std::string::npos) << outcome.err;
  }
  EXPECT_GE(recipes, 3);
}

}  // namespace
}  // namespace qtk
