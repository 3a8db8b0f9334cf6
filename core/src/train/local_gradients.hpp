// Gradients of a step by this process alone, micro-batch after micro-batch.
#pragma once

#include "config/train_config.hpp"
#include "train/gradient_source.hpp"
#include "train/token_batches.hpp"
#include "train/training_model.hpp"

#include <c10/core/Device.h>

namespace qtk::train {

/// To the device without waiting for it.
at::Tensor sent_to(const at::Tensor& batch, c10::Device device);

class LocalGradients final : public GradientSource {
 public:
  /// All outlive it.
  LocalGradients(TrainingModel& model, const TokenBatches& batches,
                 const config::TrainSection& settings, c10::Device device)
      : model_(model), batches_(batches), settings_(settings), device_(device) {}
  StepSums accumulate(int64_t step, int64_t first_window) override;

 private:
  TrainingModel& model_;
  const TokenBatches& batches_;
  const config::TrainSection& settings_;
  const c10::Device device_;
};

}  // namespace qtk::train
