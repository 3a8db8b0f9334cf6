// Where the gradients of a step come from: this process alone, or many that share the layers or the
// batch.
#pragma once

#include "train/checkpoint.hpp"
#include "train/metric_log.hpp"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

namespace qtk::train {

/// The same on all processes. Tensors are on the device and waited for by nobody.
struct StepSums {
  at::Tensor cross_entropy, divergence;  // [] fp32, means over the step's predictions
  at::Tensor norm;                       // [] fp32, of all gradients of the model together
};

class GradientSource {
 public:
  virtual ~GradientSource();
  /// Gradients of the whole step's loss, final, in the `grad` of the model's tensors.
  /// @param first_window  position of the step's first window in the data
  virtual StepSums accumulate(int64_t step, int64_t first_window) = 0;
  /// The optimizer and the layers have made their step, which took so long.
  virtual void finish_step(double) {}
  /// The signal that asks to stop; the same on all processes. @param own  of this one, 0: none
  virtual int agreed_signal(int own) { return own; }
  /// Adds the figures of the other processes to those of the one that writes metrics.
  virtual void gather(FigureMeans&) {}
  /// Whether this process writes metrics and shows progress.
  virtual bool is_chief() const { return true; }
  /// State of a checkpoint beyond model, optimizer and trainer.
  virtual void save(TrainState&) const {}
  virtual void load(const TrainState&) {}
};

}  // namespace qtk::train
