// Gradients of a step by many processes: a pipeline of stages, and replicas of it.
#pragma once

#include "config/train_config.hpp"
#include "dist/pipeline.hpp"
#include "dist/replica_exchange.hpp"
#include "dist/tied_rows.hpp"
#include "dist/world.hpp"
#include "train/gradient_source.hpp"
#include "train/optimizer_shards.hpp"
#include "train/token_batches.hpp"
#include "train/training_model.hpp"

#include <map>
#include <memory>
#include <string>

namespace qtk::train {

/// Compressors of this process, by what they are for; null where there is nothing to send.
struct LinkCompressors {
  Compressor* forward_out = nullptr;
  Compressor* forward_in = nullptr;
  Compressor* backward_out = nullptr;
  Compressor* backward_in = nullptr;
  Compressor* to_server = nullptr;  // of replicas, both or none
  Compressor* to_workers = nullptr;
};

/// All outlive it.
struct ParallelParts {
  dist::World& world;
  TrainingModel& model;
  const TokenBatches& batches;
  const config::TrainSection& settings;
  c10::Device device;
  dist::ScheduleKind schedule;
  dist::PipelineLinks links;  // its compressors are those of `compressors`
  LinkCompressors compressors;
  int64_t warmup_steps = 0;
  dist::Timeline& timeline;
  OptimizerShards* shards = nullptr;  // null: every replica keeps all moments
  /// First layer behind the links before and after this stage: names their state in checkpoints.
  int64_t layer_before = 0, layer_after = 0;
};

class ParallelGradients final : public GradientSource {
 public:
  explicit ParallelGradients(ParallelParts parts);
  ~ParallelGradients() override;

  StepSums accumulate(int64_t step, int64_t first_window) override;
  void finish_step(double optimizer_seconds) override;
  int agreed_signal(int own) override;
  void gather(FigureMeans& figures) override;
  bool is_chief() const override { return parts_.world.is_chief(); }
  void save(TrainState& state) const override;
  void load(const TrainState& state) override;

  int64_t forward_bytes() const { return pipeline_.forward_bytes(); }
  int64_t backward_bytes() const { return pipeline_.backward_bytes(); }

 private:
  class Stage;
  /// Windows of this replica in a step, and its first one.
  int64_t own_windows() const;
  int64_t own_first(int64_t first_window) const;
  at::Tensor tokens_of(int64_t first_window) const;
  void reduce(int64_t step);
  StepSums shared_sums(const Stage& stage);
  /// The compressors with state, by the name under which a checkpoint keeps it.
  std::map<std::string, Compressor*> named_compressors() const;
  /// Names the errors of the compressed exchange in a checkpoint.
  std::string replica_name() const;

  ParallelParts parts_;
  dist::Pipeline pipeline_;
  std::unique_ptr<dist::TiedRows> tied_;             // on the ends of a tied model that is trained
  std::unique_ptr<dist::CompressedSum> compressed_;  // null: exact
  std::chrono::steady_clock::time_point step_start_, passes_end_;
  /// Processor seconds when the step began, of what computes, of all threads and of the kernel's;
  /// of what computes when the norm was known.
  double start_processor_s_ = 0, start_process_s_ = 0, start_kernel_s_ = 0, norm_processor_s_ = 0;
  int64_t steps_taken_ = 0;  // of this process
};

}  // namespace qtk::train
