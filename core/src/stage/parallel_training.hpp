// The parts of a training that exist only where several processes share it.
#pragma once

#include "dist/layer_split.hpp"
#include "stage/compressors.hpp"
#include "stage/pipeline.hpp"
#include "train/parallel_gradients.hpp"
#include "train/trainer.hpp"

#include <filesystem>
#include <memory>
#include <string>

namespace qtk::stage {

/// The layers of this process. @throws ConfigError if the model cannot be split so
model::ModelPart own_part(const Run& run);

class ParallelTraining {
 public:
  /// Compares what the ends of every link say about it. All outlive it. @param variant  names files
  /// @param shards  null: every replica keeps all moments
  /// @throws ConfigError
  ParallelTraining(Run& run, const std::string& variant, model::Decoder& decoder,
                   train::TrainingModel& model, const train::TokenBatches& batches,
                   train::OptimizerShards* shards, RunContext& context);

  train::ParallelGradients& gradients() { return *gradients_; }
  /// train/<variant>/timing.json, which the simulator reads, and trace/rank<N>.json.
  void write_timing(const train::TrainOutcome& outcome);

 private:
  void compare_links(const TensorSpec& spec);
  nlohmann::json own_timing() const;
  nlohmann::json own_processor_times() const;

  Run& run_;
  dist::World& world_;
  const std::string variant_;
  dist::Timeline timeline_;
  LinkCompressor forward_out_, forward_in_, backward_out_, backward_in_;
  LinkCompressor to_server_, to_workers_;
  TensorSpec spec_;
  std::unique_ptr<train::ParallelGradients> gradients_;
};

}  // namespace qtk::stage
