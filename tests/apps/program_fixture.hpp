// Model, text, GGUF file and configuration for the tests of the program, made once.
#pragma once

#include "program.hpp"
#include "stage/tiny_model.hpp"
#include "temporary_folder.hpp"

#include <deque>
#include <string>
#include <vector>

namespace qtk {

namespace fs = std::filesystem;
using nlohmann::json;

/// Everything that commands need. Tests read it and write elsewhere.
class Inputs {
 public:
  static const Inputs& get() {
    static const Inputs inputs;
    return inputs;
  }
  fs::path operator/(const std::string& name) const { return folder_ / name; }
  std::string text(const std::string& name) const { return (folder_ / name).string(); }

  /// A configuration of all stages; `more` is appended at the top level.
  std::string configuration(const std::string& more = "") const {
    return "qtk: 1\nname: tiny\ndevice: cpu\nmodel: {path: " + text("model") +
           "}\ndata: {eval: {files: [" + text("text.txt") +
           "], ctx: 64, windows: 4}}\n"
           "quantizer: {use: affine, options: {bits: 4, group_size: 32}}\n"
           "export: [{use: gguf, type: Q4_0}]\n" +
           more;
  }

 private:
  Inputs() {
    tiny::write_model(folder_ / "model");
    tiny::write_text(folder_ / "text.txt", 600);
    write_file_atomically(folder_ / "tiny.yaml", configuration());
    const auto made = qtk({"export", "--model", text("model"), "--use", "gguf", "--type", "F32",
                           "--out", text("model.gguf")});
    EXPECT_EQ(made.code, 0) << made.err;
  }

  TemporaryFolder folder_;
};

class ProgramTest : public testing::Test {
 protected:
  /// A place of this test's own.
  std::string here(const std::string& name) const { return (scratch_ / name).string(); }
  /// A file of this test's own.
  std::string write(const std::string& name, const std::string& content) const {
    write_file_atomically(scratch_ / name, content);
    return here(name);
  }

  const Inputs& inputs_ = Inputs::get();
  TemporaryFolder scratch_;
};

/// A command line that must end with a sentence.
struct Refused {
  std::vector<std::string> arguments, fragments;  // of the sentence
  int code = 2;
};

/// All at once: what takes time is the start of each.
inline void expect_refused(const std::vector<Refused>& cases) {
  std::deque<Program> programs;
  for (const auto& refused : cases) programs.emplace_back(refused.arguments);
  for (size_t i = 0; i < cases.size(); ++i) {
    const auto outcome = programs[i].finish();
    EXPECT_EQ(outcome.code, cases[i].code) << outcome.err;
    expect_contains(outcome.err, cases[i].fragments);
  }
}

/// Names of files below `folder` whose names say that they are half-written.
inline std::vector<std::string> leftovers_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.path().filename().string().find(".tmp-") != std::string::npos)
      names.push_back(entry.path().string());
  return names;
}

}  // namespace qtk
