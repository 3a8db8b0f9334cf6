// A configuration of every stage on the tiny model, and the files that a run leaves.
#pragma once

#include "stage/export_model.hpp"
#include "stage/pipeline.hpp"
#include "stage_fixtures.hpp"

#include <chrono>
#include <set>

namespace qtk::stage {

class RunTest : public ::testing::Test {
 protected:
  RunTest() {
    const fs::path source = tiny::write_model(scratch_ / "source");
    export_model(
        *model::Decoder::load(source),
        {.format = "gguf", .type = "F32", .source = source, .target = scratch_ / "model.gguf"});
    tiny::write_text(scratch_ / "text.txt", 400);
    write_config();
  }

  /// @param more  YAML appended at the top level
  void write_config(const std::string& more = "", const std::string& folder = "") {
    const std::string at = folder.empty() ? scratch_.path().string() + "/" : folder;
    write_file_atomically(config_,
                          "qtk: 1\nname: tiny\ndevice: cpu\nthreads: 1\n"
                          "out: " +
                              (scratch_ / "runs").string() +
                              "\n"
                              "model: {path: " +
                              at +
                              "model.gguf}\n"
                              "data: {eval: {files: [" +
                              at +
                              "text.txt], ctx: 32, "
                              "windows: 8, protocol: [ppl_token, ppl_word]}}\n"
                              "quantizer: {use: affine, options: {group_size: 32}}\n"
                              "variants:\n"
                              "  - {name: w4, options: {bits: 4}}\n"
                              "  - {name: w2, options: {bits: 2}}\n"
                              "export:\n"
                              "  - {use: gguf, type: Q4_0}\n"
                              "  - {use: hf-dense, dtype: f32, variants: [w4]}\n" +
                              more);
  }
  RunRequest request(std::vector<std::string> overrides = {}) const {
    return {.config = config_,
            .overrides = std::move(overrides),
            .folder = folder_,
            .until = "",
            .command = "qtk run test.yaml"};
  }
  std::vector<std::string> run_again(std::vector<std::string> overrides = {}) const {
    return run(request(std::move(overrides)));
  }

  /// Dates every file of the folder back, so that later writes show.
  void age_files() const {
    const auto old = fs::file_time_type::clock::now() - std::chrono::hours(1);
    for (const auto& entry : fs::recursive_directory_iterator(folder_))
      if (entry.is_regular_file()) fs::last_write_time(entry.path(), old);
  }
  /// Results written since age_files(): all but what every start writes anew.
  std::set<std::string> fresh_results() const {
    const auto limit = fs::file_time_type::clock::now() - std::chrono::minutes(30);
    std::set<std::string> names;
    for (const char* part : {"stages", "artifacts", "eval", "model"})
      for (const auto& [name, content] : contents_of(folder_ / part)) {
        const std::string path = std::string(part) + "/" + name;
        if (path != "stages/report.json" && fs::last_write_time(folder_ / path) > limit)
          names.insert(path);
      }
    return names;
  }
  tiny::json read_json(const std::string& name) const {
    return tiny::json::parse(bytes_in(folder_ / name));
  }

  TemporaryFolder scratch_;
  const fs::path config_ = scratch_ / "test.yaml", folder_ = scratch_ / "run";
};

/// A record of an evaluation without what depends on the machine's speed.
inline tiny::json without_speed(tiny::json evaluation) {
  for (auto& result : evaluation["results"])
    for (const char* key : {"seconds", "tokens_per_second"}) result.erase(key);
  return evaluation;
}

}  // namespace qtk::stage
