// timing.json: what a run of several ranks measured of itself (train/<variant>/timing.json).
#pragma once

#include "dist/simulation/pipeline_model.hpp"

#include <filesystem>
#include <string>

namespace qtk::dist {

struct TimingFile {
  std::vector<StageCosts> stages;  // wall-clock means; without gradient_bytes
  /// The same in seconds of a core, with what the rank does between its passes as part of the
  /// optimizer. Empty if the run did not measure them, as on a GPU.
  std::vector<StageCosts> core_stages;
  /// What the ranks themselves work to hand over a byte, in seconds of a core, and what all their
  /// other threads (they send and receive) and the kernel's work for a byte sent or received.
  double hand_over_s_per_byte = 0, message_core_s_per_byte = 0;
  double forward_bytes = 0, backward_bytes = 0;
  int64_t micro_batches = 0, replicas = 1;
  std::string schedule;  // "gpipe", "1f1b"
  double step_s = 0;     // as measured
};

/// @throws DataError naming file and field
TimingFile read_timing_file(const std::filesystem::path& file);

/// Costs of a file for another number of stages: the sum of each spread evenly. As they are if the
/// number is the file's.
std::vector<StageCosts> stages_of(const std::vector<StageCosts>& measured, int64_t stages);

}  // namespace qtk::dist
