// A configuration and measurements -> what the simulator is told.
#pragma once

#include "dist/simulation/pipeline_model.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace qtk::dist {

struct SimulationRequest {
  std::filesystem::path config;
  std::vector<std::string> overrides;            // "a.b=c"
  std::optional<std::filesystem::path> profile;  // timing.json; else `gflops` is needed
  std::optional<double> gflops;                  // that a rank sustains
  std::optional<std::filesystem::path> link;     // link.json
  std::optional<double> rate_mbit, latency_ms;   // over those of `link` and of the configuration
  std::optional<std::pair<int64_t, int64_t>> ranks;  // replicas, stages; over the configuration's
  ReceiveRule receives = ReceiveRule::kAtStepStart;
  double jitter = 0;
  int64_t steps = 1;
  uint64_t seed = 0;
  bool shares_egress = false;
  double share_spread = 0;                       // LinkModel
  std::optional<int64_t> cores, ranks_per_host;  // PipelineModel
  bool keeps_timeline = false;
};

struct SimulationPlan {
  PipelineModel model;
  double tokens_per_step = 0;
  int64_t micro_batch = 1, ctx = 0;
  std::string schedule;                   // "gpipe", "1f1b"
  std::string forward_use, backward_use;  // compressors
  double uncompressed_bytes = 0;          // of a message
  std::string costs_from;                 // one line
  double measured_step_s = 0;             // of a profile of the same shape, else 0
  std::vector<std::string> notes;         // what a reader should know
};

/// Opens the model's config.json and the compressor plugins, no weights.
/// @throws ConfigError, DataError, PluginError
SimulationPlan plan_simulation(const SimulationRequest& request);

/// `model` with the plan's uncompressed messages, which cost nothing to encode.
PipelineModel uncompressed(const SimulationPlan& plan, PipelineModel model);

}  // namespace qtk::dist
