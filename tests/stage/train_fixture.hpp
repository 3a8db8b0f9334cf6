// A configuration that trains the tiny model, and what its runs leave.
#pragma once

#include "run_fixture.hpp"

namespace qtk::stage {

class TrainTest : public ::testing::Test {
 protected:
  TrainTest() {
    tiny::write_model(scratch_ / "model");
    tiny::write_text(scratch_ / "text.txt", 900);
    tiny::write_text(scratch_ / "held_out.txt", 200, 11);
    write_config();
  }

  /// @param train     inside of `train: {...}`
  /// @param sections  YAML at the top level in place of a quantizer of two bits
  void write_config(const std::string& train = "steps: 6, log_every: 2, checkpoint_every: 2",
                    const std::string& sections =
                        "quantizer: {use: affine, options: {bits: 2, group_size: 32}}\n") {
    write_file_atomically(
        config_, "qtk: 1\nname: tiny\ndevice: cpu\nthreads: 1\nout: " + text("runs") +
                     "\nmodel: {path: " + text("model") +
                     "}\n"
                     "data:\n  train: {files: [" +
                     text("text.txt") + "], ctx: 32}\n  eval: {files: [" + text("held_out.txt") +
                     "], ctx: 32, windows: 4}\n"
                     "optimizer: {lr: 1e-3}\n"
                     "train: {global_batch: 4, micro_batch: 2, " +
                     train + "}\n" + sections);
  }
  std::string text(const std::string& name) const { return (scratch_ / name).string(); }

  RunRequest request(std::vector<std::string> overrides = {}, const std::string& folder = "run",
                     const std::string& until = "") const {
    return {.config = config_,
            .overrides = std::move(overrides),
            .folder = scratch_ / folder,
            .until = until,
            .command = "qtk run test.yaml"};
  }
  void train(std::vector<std::string> overrides = {}, const std::string& folder = "run") const {
    run(request(std::move(overrides), folder, "train"));
  }

  /// Rows of metrics.jsonl without what depends on the machine's speed.
  std::vector<tiny::json> metrics(const std::string& variant = "affine",
                                  const std::string& folder = "run") const {
    std::ifstream file(scratch_ / folder / "train" / variant / "metrics.jsonl");
    std::vector<tiny::json> rows;
    for (std::string line; std::getline(file, line);) {
      rows.push_back(tiny::json::parse(line));
      rows.back().erase("tokens_per_s");
    }
    return rows;
  }
  std::vector<std::string> checkpoints(const std::string& folder = "run",
                                       const std::string& variant = "affine") const {
    std::vector<std::string> names;
    const auto at = scratch_ / folder / "train" / variant / "checkpoints";
    if (fs::exists(at))
      for (const auto& entry : fs::directory_iterator(at))
        names.push_back(entry.path().filename().string());
    std::ranges::sort(names);
    return names;
  }
  std::map<std::string, std::string> packed(const std::string& folder = "run",
                                            const std::string& variant = "affine") const {
    return contents_of(scratch_ / folder / "artifacts" / variant / "packed");
  }

  TemporaryFolder scratch_;
  const fs::path config_ = scratch_ / "test.yaml";
};

}  // namespace qtk::stage
