// One variant while it trains: the decoder with its quantizer, its schedulers, its results.
#pragma once

#include "plugin/run_context.hpp"
#include "stage/perplexity.hpp"
#include "stage/pipeline.hpp"
#include "stage/quantizer_plan.hpp"
#include "stage/schedulers.hpp"
#include "train/shared_checkpoints.hpp"
#include "train/trainer.hpp"

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace qtk::stage {

/// fp32 weights that an optimizer may write into.
model::LoadOptions training_options(const Run& run);

/// What all variants share.
struct TrainingInputs {
  train::TokenBatches batches;
  std::optional<EvaluationPlan> evaluation;
  std::unique_ptr<model::Decoder> teacher;  // null without distillation
  int64_t steps = 0;
};

class VariantTraining {
 public:
  /// Loads the model, or a part of it, and attaches the variant's quantizers. `run` and `inputs`
  /// must outlive it. @throws ConfigError if they cannot be trained or do not fit
  VariantTraining(Run& run, const TrainingInputs& inputs, config::QuantizerVariant variant,
                  std::optional<model::ModelPart> part = {});

  /// From the newest checkpoint, if there is one, to the end.
  train::TrainOutcome train();
  /// Weights and layers as a checkpoint of many processes has them.
  void take_weights(const train::TrainState& state);
  /// The deployed model, as stage quantize leaves it, of the last or the best step.
  /// @returns the files written
  std::vector<std::filesystem::path> write(const train::TrainOutcome& outcome);

 private:
  std::filesystem::path best_folder(int64_t step) const;
  std::filesystem::path best_checkpoints() const;
  /// Bests before it stay until the end: a run that is resumed before this step may need them.
  void keep_best(int64_t step);
  /// Of an evaluated step that another has beaten, or that an interrupted process left.
  void remove_old_bests(int64_t best_step) const;
  void write_to(const std::filesystem::path& folder, const std::filesystem::path& record) const;
  std::string description() const;
  void attach_quantizers();
  /// Of the whole model, in order.
  std::vector<LinearSite> quantized_sites() const;
  void prepare_schedulers(const std::vector<LinearSite>& sites);
  /// What is evaluated and kept on the way.
  void add_evaluation(train::TrainerParts& parts, train::TrainingModel& model);
  double held_out_loss();

  Run& run_;
  const TrainingInputs& inputs_;
  const config::QuantizerVariant variant_;
  const std::string label_;
  train::FigureMeans method_figures_;
  plugin::CoreRunContext context_;
  QuantizerPlan plan_;
  std::unique_ptr<model::Decoder> decoder_;
  std::unique_ptr<train::SharedCheckpoints> bests_;  // of many processes
  plugin::PluginPtr<Scheduler> lr_schedule_, scheduler_;
};

}  // namespace qtk::stage
