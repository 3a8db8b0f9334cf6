// A run: the stages of a configuration, in order, on one run folder.
#pragma once

#include "config/run_config.hpp"
#include "dist/world.hpp"
#include "stage/run_folder.hpp"

#include <qtk/runtime/run_context.hpp>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace qtk::stage {

struct RunRequest {
  std::filesystem::path config;
  std::vector<std::string> overrides;           // "a.b=c"
  std::optional<std::filesystem::path> folder;  // --out; else one below config.out
  Resume resume = Resume::kAuto;
  std::string until;    // last stage to run; empty: all
  std::string command;  // as typed, for command.txt
};

/// What the stages share. Stages write below `folder` and read each other's files from there.
struct Run {
  config::RunConfig config;
  RunFolder folder;
  std::unique_ptr<RunContext> context;
  std::unique_ptr<dist::World> world;  // null: one process

  /// The model as a Hugging Face folder: config.model.path, or where the import stage put it.
  std::filesystem::path model_folder() const;
  /// Where the stages train and quantize put a variant.
  std::filesystem::path packed_folder(const std::string& variant) const;
  /// What the train stage keeps of a variant: metrics.jsonl, checkpoints/.
  std::filesystem::path train_folder(const std::string& variant) const;
  /// Where the calibrate stage puts what it measured or read; read_sensitivity() opens it.
  std::filesystem::path sensitivity_file() const;
};

// The stages. Each skips what an earlier process finished. Of several processes only rank 0 runs
// them; train runs on all.
void import_stage(Run& run);
void calibrate_stage(Run& run);
void train_stage(Run& run);
void quantize_stage(Run& run);
void eval_stage(Run& run);
void export_stage(Run& run);
void report_stage(Run& run);

/// Everything `qtk validate` can know without opening a model: structure, values, plugins and their
/// options, files.
/// @returns warnings. @throws ConfigError with all problems
std::vector<config::Problem> validate_config(const std::filesystem::path& config,
                                             const std::vector<std::string>& overrides);

/// What was made and how good it is, from the files of the run.
std::vector<std::string> summary_lines(const Run& run);

/// Runs the stages. @returns lines that say what was made, how good it is and where to look
std::vector<std::string> run(const RunRequest& request);

}  // namespace qtk::stage
