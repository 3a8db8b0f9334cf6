// timing.json: what a run of several ranks measured of itself (train/<variant>/timing.json).
#pragma once

#include "dist/simulation/pipeline_model.hpp"

#include <filesystem>
#include <string>

namespace qtk::dist {

struct TimingFile {
  std::vector<StageCosts> stages;  // medians; without gradient_bytes
  double forward_bytes = 0, backward_bytes = 0;
  int64_t micro_batches = 0, replicas = 1;
  std::string schedule;  // "gpipe", "1f1b"
  double step_s = 0;     // as measured
};

/// @throws DataError naming file and field
TimingFile read_timing_file(const std::filesystem::path& file);

/// The costs of the file for another number of stages: the sum of each spread evenly. As they are
/// if the number is the file's.
std::vector<StageCosts> stages_of(const TimingFile& timing, int64_t stages);

}  // namespace qtk::dist
