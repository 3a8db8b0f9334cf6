// The optimizer's state shared out among replicas (ZeRO stage 1, Rajbhandari et al. 2020): the
// weights, flattened one after another, are cut into equal parts; each replica keeps the moments of
// its part, updates it, and everybody gathers the new values.
#pragma once

#include "dist/process_group.hpp"
#include "train/adamw.hpp"

#include <ATen/core/Tensor.h>

#include <vector>

namespace qtk::train {

class OptimizerShards {
 public:
  /// @param tensors  all that is trained here, the same on all replicas
  /// @throws ConfigError if one has a storage of its own, which cannot be cut
  OptimizerShards(std::vector<OptimizedTensor> tensors, dist::ProcessGroup& replicas);

  /// What this replica updates: flat views of the tensors, named "<tensor>[begin:end]".
  const std::vector<OptimizedTensor>& own() const { return own_; }
  /// Gives the views the gradients of their tensors. Before every step of the optimizer.
  void bind_gradients() const;
  /// Gathers the values that the other replicas have updated.
  void spread_values();

 private:
  struct Slice {
    size_t tensor;  // in tensors_
    int64_t begin, end;
  };
  std::vector<Slice> slices_of(int member) const;
  at::Tensor values_of(const Slice& slice) const;

  const std::vector<OptimizedTensor> tensors_;
  dist::ProcessGroup& replicas_;
  int64_t part_ = 0;  // elements of a replica, the last one's filled up
  std::vector<Slice> slices_;
  std::vector<OptimizedTensor> own_;
};

}  // namespace qtk::train
