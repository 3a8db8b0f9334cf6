// The training loop: batches, loss, gradients, optimizer, and around it figures, evaluation,
// checkpoints and the decision to stop.
#pragma once

#include "config/train_config.hpp"
#include "train/adamw.hpp"
#include "train/checkpoint.hpp"
#include "train/gradient_source.hpp"
#include "train/knob_schedule.hpp"
#include "train/metric_log.hpp"
#include "train/token_batches.hpp"
#include "train/training_model.hpp"

#include <qtk/api/scheduler.hpp>
#include <qtk/runtime/run_context.hpp>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

namespace qtk::train {

/// Everything outlives the trainer.
struct TrainerParts {
  TrainingModel& model;
  AdamW& optimizer;
  GradientSource& gradients;
  const TokenBatches& batches;
  const config::TrainSection& settings;
  double base_lr = 0;                      // of the default group, for StepInfo
  const Scheduler* lr_schedule = nullptr;  // null: constant
  KnobSchedule knobs;
  MetricLog& metrics;
  FigureMeans& method_figures;  // what plugins report
  Checkpoints& checkpoints;
  const RunContext& context;
  int64_t total_steps = 0;
  std::string label;
  /// Mean loss, nat per token, of the model as its layers stand now; empty: no evaluation.
  std::function<double()> held_out_loss;
  /// The deployed model is better than ever at this step. May be empty.
  std::function<void(int64_t step)> keep_best;
};

struct TrainOutcome {
  int64_t steps = 0, tokens = 0;
  double seconds = 0;            // of this process
  double tokens_per_second = 0;  // of this process, evaluation and checkpoints left out
  double loss = 0;               // of the last logged steps
  double held_out = 0;           // of the deployed weights at the last evaluation; NaN: none
  double best_held_out = 0;      // NaN: none
  int64_t best_step = -1;
};

class Trainer {
 public:
  explicit Trainer(TrainerParts parts);

  /// Continues from the newest sound checkpoint, if there is one.
  void resume();
  int64_t step() const { return step_; }  // finished ones
  /// To the end. @throws Error(kDiverged), Error(kPreempted or kInterrupted) after a checkpoint,
  /// IoError
  TrainOutcome run();

 private:
  using Clock = std::chrono::steady_clock;
  void take_step();
  double lr_factor(int64_t step) const;
  void remember_faults(const at::Tensor& is_faulty);
  /// @throws Error(kDiverged) under policy `stop` if a step since the last look was not finite
  void require_finite();
  void require_convergence(double loss);
  void log();
  void evaluate();
  void save();
  void save_progress(TrainState& state);
  /// Ends the run with a checkpoint if anybody was asked to stop. @param is_saved  it is made
  void stop_if_asked(bool is_saved);
  bool is_due(int64_t every) const;
  std::string last_good_text() const;

  TrainerParts parts_;
  c10::Device device_;
  int64_t step_ = 0;  // finished steps
  // Since the last log, on the device.
  at::Tensor loss_sum_, divergence_sum_, norm_sum_;  // [] fp32, over steps that were finite
  at::Tensor counted_;                               // [] fp32: how many these are
  at::Tensor first_fault_;                           // [] int64: step + 1, 0: none
  at::Tensor faults_;                                // [] int64: steps that were skipped
  std::vector<double> recent_losses_;
  TrainOutcome outcome_;
  // Time of the steps since the last log, pauses left out.
  Clock::time_point clock_start_;
  double paused_ = 0, training_seconds_ = 0;
  int64_t timed_steps_ = 0;
};

}  // namespace qtk::train
