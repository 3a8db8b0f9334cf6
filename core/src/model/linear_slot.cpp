#include "model/linear_slot.hpp"

#include "model/gradients.hpp"

#include <qtk/linear_product.hpp>
#include <qtk/runtime/check.hpp>

#include <ATen/ATen.h>

#include <algorithm>

namespace qtk::model {

LinearSlot::LinearSlot(std::string name, at::Tensor weight, at::Tensor bias, bool is_conv1d)
    : name_(std::move(name)),
      stored_(std::move(weight)),
      bias_(std::move(bias)),
      is_conv1d_(is_conv1d) {}

at::Tensor LinearSlot::forward(const at::Tensor& x) const {
  return layer_ ? layer_->forward(x) : linear_product(x, weight(), bias_);
}

at::Tensor LinearSlot::weight() const {
  QTK_CHECK(stored_.defined(), name_, " has no dense weight, only a quantized one");
  return is_conv1d_ ? stored_.t() : stored_;
}

std::vector<at::Tensor> LinearGroup::forward(const at::Tensor& x) const {
  if (joint_) {
    auto outputs = joint_->forward(x);
    QTK_CHECK(outputs.size() == slots_.size(), slots_.front().name(), ": the joint form of ",
              slots_.size(), " layers returned ", outputs.size(), " outputs");
    return outputs;
  }
  if (is_joining(x)) return forward_joined(x);
  std::vector<at::Tensor> outputs;
  outputs.reserve(slots_.size());
  for (const auto& slot : slots_) outputs.push_back(slot.forward(x));
  return outputs;
}

bool LinearGroup::is_joining(const at::Tensor& x) const {
  if (slots_.size() < 2 || !is_dense() || !x.is_cpu() || x.scalar_type() != at::kFloat)
    return false;
  const auto& first = slots_.front();
  int64_t elements = 0;
  for (const auto& slot : slots_) {
    if (slot.bias().defined() != first.bias().defined()) return false;
    elements += slot.weight().numel();
  }
  return needs_gradient({x, first.weight()}) && elements <= x.numel();
}

std::vector<at::Tensor> LinearGroup::forward_joined(const at::Tensor& x) const {
  std::vector<at::Tensor> weights, biases;
  std::vector<int64_t> rows;
  for (const auto& slot : slots_) {
    weights.push_back(slot.weight());
    rows.push_back(weights.back().size(0));
    if (slot.bias().defined()) biases.push_back(slot.bias());
  }
  const auto joined =
      linear_product(x, at::cat(weights), biases.empty() ? at::Tensor() : at::cat(biases));
  return joined.split_with_sizes(rows, -1);
}

bool LinearGroup::is_dense() const { return std::ranges::none_of(slots_, &LinearSlot::attached); }

void LinearGroup::attach(size_t index, std::unique_ptr<QuantizedLinear> layer) {
  joint_.reset();  // it may refer to the layer that goes
  slots_.at(index).attach(std::move(layer));
}

void LinearGroup::fuse(std::span<Quantizer* const> makers) {
  joint_.reset();
  const bool has_one_maker =
      makers.front() && std::ranges::count(makers, makers.front()) == std::ssize(makers);
  if (slots_.size() < 2 || !has_one_maker || !std::ranges::all_of(slots_, &LinearSlot::attached))
    return;
  std::vector<QuantizedLinear*> layers;
  for (const auto& slot : slots_) layers.push_back(slot.attached());
  joint_ = makers.front()->fuse(layers);
}

}  // namespace qtk::model
