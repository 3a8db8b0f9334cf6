// A decoder as something to train: its tensors, its loss, its quantized layers step by step.
#pragma once

#include "config/train_config.hpp"
#include "model/decoder.hpp"
#include "train/adamw.hpp"
#include "train/knob_schedule.hpp"
#include "train/token_loss.hpp"

#include <qtk/api/quantizer.hpp>

#include <string>
#include <vector>

namespace qtk::train {

/// Group of the tensors that no quantizer takes, in `optimizer.groups`.
inline constexpr const char* kRestGroup = "rest";

class TrainingModel {
 public:
  /// @param decoder  with writable fp32 weights; its quantized layers, all trainable, are attached
  /// @param teacher  null without distillation
  TrainingModel(model::Decoder& decoder, model::Decoder* teacher,
                const config::TrainSection& settings);

  /// Sites with a quantized layer, in order.
  const std::vector<LinearSite>& sites() const { return sites_; }
  /// All that the optimizer updates. @throws ConfigError if the whole model is here and `section`
  /// names a group that no tensor is in, or there is nothing to train
  std::vector<OptimizedTensor> optimized(const config::OptimizerSection& section) const;

  /// The layers that are held, and the embedding before and the norm behind them where they are.
  /// @param ids    [B, S]; read by whoever holds the embedding
  /// @param input  [B, S, D] from the layer before; read by everybody else
  /// @returns [B, S, D]
  at::Tensor hidden(const at::Tensor& ids, const at::Tensor& input = {});
  /// Of final hidden states [B, S, D]; only with the head.
  TokenLoss loss_of(const at::Tensor& hidden, const at::Tensor& ids, const at::Tensor& targets,
                    double scale);
  /// @param ids, targets  [B, S] on the decoder's device
  TokenLoss loss(const at::Tensor& ids, const at::Tensor& targets, double scale);
  /// Those that the last backward passes made.
  std::vector<at::Tensor> gradients() const;
  void clear_gradients();
  /// The embedding of a tied model whose head another process holds and trains: a copy, whose
  /// gradients count there. Undefined otherwise, or if nobody trains it.
  const at::Tensor& borrowed_embedding() const { return borrowed_embedding_; }
  /// The embedding that is this process's own and serves as the head.
  const at::Tensor& own_tied_embedding() const { return own_tied_embedding_; }

  /// The knobs of a step, or (null) the deployed form.
  void set_knobs(const KnobSchedule* schedule, int64_t step);
  void before_step(const StepInfo& info);
  void after_step(const StepInfo& info);

  void save(class TrainState& state) const;
  void load(const TrainState& state);

 private:
  struct Tensor {
    std::string name, group;
    at::Tensor leaf;
    std::shared_ptr<ParamStorage> storage;
    bool is_collect_only = false;
  };
  model::Decoder& decoder_;
  model::Decoder* teacher_;
  const config::TrainSection& settings_;
  std::vector<LinearSite> sites_;
  std::vector<TrainableLinear*> layers_;  // per entry of sites_
  std::vector<Tensor> tensors_;
  at::Tensor borrowed_embedding_, own_tied_embedding_;
};

}  // namespace qtk::train
