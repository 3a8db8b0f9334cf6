// Stopping in the middle: by a signal, by a full disk.
#include "program_fixture.hpp"

namespace qtk {
namespace {

class StopTest : public ProgramTest {
 protected:
  StopTest() { tiny::write_text(scratch_ / "long.txt", 30000); }

  std::vector<std::string> command() const {
    return {"run",   inputs_.text("tiny.yaml"),
            "--set", "data.eval.files=[" + here("long.txt") + "]",
            "--set", "data.eval.windows=0",
            "--set", "data.eval.batch_tokens=64",
            "--out", here("r")};
  }
  bool is_evaluating() const {
    const std::string text = file_content(here("r/status.json"));
    return text.find("\"running\"") != text.npos && text.find("\"eval\"") != text.npos;
  }
  json status() const { return json::parse(file_content(here("r/status.json"))); }
};

TEST_F(StopTest, SignalsEndARunThatGoesOnLater) {
  struct Case {
    int signal, code;
    std::string sentence;
  };
  for (const auto& [signal, code, sentence] :
       {Case{SIGTERM, 75, "error[stop]: asked to stop"}, Case{SIGINT, 130, "interrupted"}}) {
    SCOPED_TRACE(signal);
    Program program(command());
    program.stop_when([&] { return is_evaluating(); }, signal);

    const auto stopped = program.finish();

    EXPECT_EQ(stopped.code, code) << stopped.err;
    expect_contains(stopped.err,
                    {sentence, "finished work is saved", "run the same command again"});
    EXPECT_EQ(status()["state"], "stopped");
    EXPECT_EQ(status()["exit_code"], code);
    EXPECT_TRUE(leftovers_in(scratch_.path()).empty());
    EXPECT_FALSE(fs::exists(here("r/eval/affine.json")));
  }
  const auto written = fs::last_write_time(here("r/stages/quantize.affine.json"));

  const auto resumed = qtk(command());

  EXPECT_EQ(resumed.code, 0) << resumed.err;
  expect_contains(resumed.err, {"resuming " + here("r")});
  EXPECT_EQ(fs::last_write_time(here("r/stages/quantize.affine.json")), written);
  EXPECT_EQ(status()["state"], "finished");
}

TEST_F(StopTest, AFullDiskEndsARunWithoutHalfFilesAndItGoesOnLater) {
  const std::vector<std::string> arguments = {"run", inputs_.text("tiny.yaml"), "--out", here("r")};

  const auto full = qtk(arguments, {.folder = ".", .largest_file = 60'000});
  const auto left = leftovers_in(scratch_.path());
  const auto resumed = qtk(arguments);

  EXPECT_EQ(full.code, 74) << full.err;
  expect_contains(full.err, {"error[io]: cannot write ", here("r/artifacts/affine/packed/model-"),
                             "File too large"});
  EXPECT_TRUE(left.empty()) << left[0];
  EXPECT_EQ(resumed.code, 0) << resumed.err;
}

TEST_F(StopTest, AFullDiskLeavesNothingOfAnImportOrExport) {
  const std::vector<std::vector<std::string>> commands = {
      {"import", "--gguf", inputs_.text("model.gguf"), "--out", here("m")},
      {"export", "--model", inputs_.text("model"), "--use", "gguf", "--type", "F16", "--out",
       here("m/m.gguf")},
      {"export", "--model", inputs_.text("model"), "--use", "hf-dense", "--out", here("m")}};
  for (const auto& arguments : commands) {
    const auto full = qtk(arguments, {.folder = ".", .largest_file = 60'000});

    EXPECT_EQ(full.code, 74) << full.err;
    expect_contains(full.err, {"error[io]: cannot write " + here("m/"), "File too large"});
    EXPECT_TRUE(!fs::exists(here("m")) || fs::is_empty(here("m")));
  }
}

}  // namespace
}  // namespace qtk
