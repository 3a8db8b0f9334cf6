// AdamW (Loshchilov and Hutter, ICLR 2019, algorithm 2): decoupled weight decay, bias-corrected
// moments. The mathematics is in fp32 whatever a tensor's storage is.
#pragma once

#include <qtk/api/param_storage.hpp>
#include <qtk/runtime/run_context.hpp>
#include <qtk/runtime/state.hpp>

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

namespace qtk::train {

struct AdamWSettings {
  double lr = 0;
  double beta1 = 0.9, beta2 = 0.95;
  double eps = 1e-8;
  double weight_decay = 0;
  bool operator==(const AdamWSettings&) const = default;
};

struct OptimizedTensor {
  std::string name;                       // unique
  at::Tensor leaf;                        // its gradient is read
  std::shared_ptr<ParamStorage> storage;  // empty: the leaf itself, fp32
  AdamWSettings settings;
};

class AdamW {
 public:
  AdamW(std::vector<OptimizedTensor> tensors, const RunContext& context);

  /// One update of all tensors that have a gradient. No host synchronisation on CUDA.
  /// @param lr_factor  of every tensor's rate
  /// @param skip       [] fp32 on the device: where it is 1, everything stays as it is
  /// @param step       names the random stream of stochastic rounding
  void step(double lr_factor, const at::Tensor& skip, int64_t step);

  const std::vector<OptimizedTensor>& tensors() const { return tensors_; }
  void save(StateWriter& out) const;
  void load(StateReader& in);

 private:
  /// Tensors of equal settings that one fused call updates, and those behind a storage.
  struct Group {
    AdamWSettings settings;
    std::vector<size_t> members;
    bool has_storage = false;
  };
  void step_fused(const Group& group, double lr_factor, const at::Tensor& skip);
  void step_stored(const Group& group, double lr_factor, const at::Tensor& skip, int64_t step);

  const RunContext& context_;
  std::vector<OptimizedTensor> tensors_;
  std::vector<at::Tensor> first_, second_;  // moments, fp32, as the leaves
  std::vector<Group> groups_;
  at::Tensor count_;  // [] fp32: steps taken
};

/// One update in plain operations; `step` counts from 1. Changes the moments in place.
/// @returns the new value, fp32
at::Tensor adamw_ref(const at::Tensor& value, const at::Tensor& gradient, at::Tensor& first,
                     at::Tensor& second, const at::Tensor& step, const AdamWSettings& settings);

}  // namespace qtk::train
