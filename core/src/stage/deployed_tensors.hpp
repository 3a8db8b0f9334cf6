// A model's tensors as other libraries expect them: every weight dense under its Hugging Face name, quantized ones
// decoded. Made one at a time.
#pragma once

#include "format/tensor_info.hpp"
#include "model/decoder.hpp"

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <vector>

namespace qtk::stage {

/// Refers to the decoder, which must outlive it.
class DeployedTensors {
 public:
  explicit DeployedTensors(const model::Decoder& decoder);

  /// Names and shapes in a fixed order; dtypes as stored, fp32 for decoded weights.
  const std::vector<format::TensorInfo>& tensors() const { return tensors_; }
  bool has(const std::string& name) const { return index_.contains(name); }
  const format::TensorInfo& info(const std::string& name) const { return tensors_[index_.at(name)]; }
  /// In file order (GPT-2's Conv1D weights are [in, out]), on the CPU.
  at::Tensor tensor(const std::string& name) const;
  /// The site whose weight this is, or -1.
  int64_t site_of(const std::string& name) const;

 private:
  void add(const std::string& name, at::ScalarType dtype, std::vector<int64_t> shape);

  const model::Decoder& decoder_;
  std::vector<format::TensorInfo> tensors_;
  std::map<std::string, size_t> index_;
  std::map<std::string, at::Tensor> dense_;
  std::map<std::string, int64_t> packed_;  // decoded on demand
  std::map<std::string, int64_t> site_of_;
  bool is_conv1d_ = false;
};

}  // namespace qtk::stage
