// Which folder a run takes, and what it makes of one that was touched.
#include "stage/run_folder.hpp"

#include "run_fixture.hpp"

namespace qtk::stage {
namespace {

TEST_F(RunTest, UnknownUntilIsRefused) {
  auto wanted = request();
  wanted.until = "qantize";
  expect_contains(sentence_of<ConfigError>([&] { run(wanted); }), {"qantize", "quantize"});
  EXPECT_FALSE(fs::exists(folder_ / "eval"));
}

TEST_F(RunTest, UntilAStageThatIsNotListedIsRefused) {
  auto wanted = request({"stages=[import,quantize,eval]"});
  wanted.until = "export";
  expect_contains(sentence_of<ConfigError>([&] { run(wanted); }), {"export"});
}

TEST_F(RunTest, ResumeNeverOnALockedFolderTouchesNothing) {
  run_again();
  auto identity = RunIdentity{"tiny", {}};
  identity.inputs = read_json("fingerprint.json")["inputs"];
  const auto held = RunFolder::at(folder_, identity, Resume::kAuto);
  const auto before = contents_of(folder_ / "artifacts");
  auto wanted = request();
  wanted.resume = Resume::kNever;
  expect_contains(sentence_of<ConfigError>([&] { run(wanted); }), {"another qtk is working"});
  EXPECT_TRUE(contents_of(folder_ / "artifacts") == before);
}

TEST_F(RunTest, ARunWhoseNameEndsLikeAnotherHasItsOwnFolder) {
  auto other = request({"name=big-tiny"}), ours = request({"name=tiny"});
  other.folder.reset();
  ours.folder.reset();

  run(other);
  run(ours);

  const fs::directory_iterator folders(scratch_ / "runs");
  EXPECT_EQ(std::distance(begin(folders), end(folders)), 2);
}

TEST_F(RunTest, ResolvedYamlResumesItsOwnFolder) {
  const fs::path home = fs::current_path();
  write_config("", "./");
  fs::current_path(scratch_.path());
  run_again();
  age_files();
  auto again = request();
  again.config = folder_ / "resolved.yaml";
  EXPECT_NO_THROW(run(again));
  fs::current_path(home);
  EXPECT_TRUE(fresh_results().empty());
}

TEST_F(RunTest, ExportDirLiesInsideTheRunFolder) {
  const fs::path home = fs::current_path();
  fs::current_path(scratch_.path());
  run_again({"export=[{use: gguf, type: F16, file: out.gguf, variants: [w4]}]"});
  fs::current_path(home);
  EXPECT_TRUE(fs::exists(folder_ / "out.gguf"));
  EXPECT_FALSE(fs::exists(scratch_ / "out.gguf"));
}

TEST_F(RunTest, AStepWithADamagedRecordIsDoneAgain) {
  run_again();
  for (const char* text :
       {"", "{}", "[1]", "{\"files\": 3}", "{\"files\": {\"eval/w2.json\": \"x\"}}"}) {
    SCOPED_TRACE(text);
    std::ofstream(folder_ / "stages/eval.w2.json") << text;

    EXPECT_NO_THROW(run_again());

    EXPECT_TRUE(read_json("stages/eval.w2.json")["files"].is_object());
  }
}

TEST_F(RunTest, ADamagedFingerprintIsNamed) {
  run_again();
  std::ofstream(folder_ / "fingerprint.json") << "[1]";

  expect_contains(sentence_of<DataError>([&] { run_again(); }), {"fingerprint.json is damaged"});
}

TEST_F(RunTest, AFolderThatWasJustBegunIsTaken) {
  fs::create_directories(folder_ / "stages");
  write_file_atomically(folder_ / "run.lock", "");
  write_file_atomically(folder_ / "fingerprint.json.tmp-1-0", "{");

  EXPECT_NO_THROW(run_again());

  EXPECT_FALSE(fs::exists(folder_ / "fingerprint.json.tmp-1-0"));
}

TEST_F(RunTest, AFileInTheFoldersPlaceIsRefused) {
  write_file_atomically(folder_, "mine");

  expect_contains(sentence_of<ConfigError>([&] { run_again(); }), {"not a run folder"});
}

TEST_F(RunTest, AFolderWithOtherFilesIsRefused) {
  for (const auto* file : {"notes.txt", "stages/notes.txt"}) {
    fs::remove_all(folder_);
    write_file_atomically(folder_ / file, "mine");

    expect_contains(sentence_of<ConfigError>([&] { run_again(); }), {"not a run folder"});

    EXPECT_TRUE(fs::exists(folder_ / file));
  }
}

}  // namespace
}  // namespace qtk::stage
