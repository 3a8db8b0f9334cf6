// Moments of the optimizer from a checkpoint, whoever wrote them: replicas that share the
// optimizer's state keep slices "<tensor>[begin:end]" of flattened tensors, and another number of
// replicas, or one alone, puts together what it needs.
#pragma once

#include "train/checkpoint.hpp"

#include <string>
#include <string_view>

namespace qtk::train {

/// Elements [begin, end) of the flattened tensor `tensor`.
struct SliceName {
  std::string tensor;
  int64_t begin = 0, end = 0;
};
std::string slice_name(const SliceName& slice);
/// @returns false if the name is that of a whole tensor
bool parse_slice_name(std::string_view name, SliceName& slice);

/// As ScopedReader; a tensor "<tensor>/<moment>" or "<tensor>[b:e]/<moment>" that is not there by
/// this name is cut out of the whole one or put together from slices.
class SlicedReader final : public StateReader {
 public:
  SlicedReader(const TrainState& state, std::string prefix)
      : state_(state), prefix_(prefix + "/"), direct_(state, prefix) {}
  bool has(std::string_view name) const override { return direct_.has(name); }
  at::Tensor tensor(std::string_view name) const override;
  int64_t integer(std::string_view name) const override { return direct_.integer(name); }
  double real(std::string_view name) const override { return direct_.real(name); }
  std::string text(std::string_view name) const override { return direct_.text(name); }

 private:
  const TrainState& state_;
  const std::string prefix_;
  ScopedReader direct_;
};

}  // namespace qtk::train
