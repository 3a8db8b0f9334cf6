// Linear layers of a block, dense or quantized. Those that read one input stand together in a
// group, so that a method may treat the input once.
#pragma once

#include <qtk/api/quantizer.hpp>

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

namespace qtk::model {

/// One linear layer: a dense weight in its stored dtype (possibly the mapped file itself), and the
/// quantized layer that stands in its place, if any.
class LinearSlot {
 public:
  /// @param weight  as stored, [out, in], or [in, out] if is_conv1d; undefined if only a quantized
  /// layer can fill it
  LinearSlot(std::string name, at::Tensor weight, at::Tensor bias, bool is_conv1d);

  at::Tensor forward(const at::Tensor& x) const;
  /// [out, in], a view. @throws Error if there is none
  at::Tensor weight() const;
  const at::Tensor& bias() const { return bias_; }
  const std::string& name() const { return name_; }

  void attach(std::unique_ptr<QuantizedLinear> layer) { layer_ = std::move(layer); }
  QuantizedLinear* attached() const { return layer_.get(); }

 private:
  std::string name_;
  at::Tensor stored_;
  at::Tensor bias_;
  bool is_conv1d_;
  std::unique_ptr<QuantizedLinear> layer_;
};

class LinearGroup {
 public:
  explicit LinearGroup(std::vector<LinearSlot> slots) : slots_(std::move(slots)) {}

  /// One output per slot.
  std::vector<at::Tensor> forward(const at::Tensor& x) const;
  /// For groups of one.
  at::Tensor forward_single(const at::Tensor& x) const { return slots_.front().forward(x); }

  /// No quantized layer in any place: the outputs are fresh tensors that belong to the caller.
  bool is_dense() const;
  const LinearSlot& slot(size_t index) const { return slots_.at(index); }
  size_t size() const { return slots_.size(); }
  /// Puts a layer (or null: the dense weight) in the place of a slot and parts what was fused.
  void attach(size_t index, std::unique_ptr<QuantizedLinear> layer);
  /// Asks for a joint form if there are several slots and one quantizer made the layers of all.
  /// @param makers  one per slot, null where the dense weight stands
  void fuse(std::span<Quantizer* const> makers);

 private:
  /// Training on the CPU, where a backward pass reads and writes the activations once for each
  /// product: one product of all weights is less work where these are fewer than the activations.
  bool is_joining(const at::Tensor& x) const;
  std::vector<at::Tensor> forward_joined(const at::Tensor& x) const;

  std::vector<LinearSlot> slots_;
  std::unique_ptr<JointForward> joint_;
};

}  // namespace qtk::model
