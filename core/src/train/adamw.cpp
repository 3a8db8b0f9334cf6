#include "train/adamw.hpp"

#include <qtk/runtime/check.hpp>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <tuple>

namespace qtk::train {
namespace {

AdamWSettings scaled(AdamWSettings settings, double lr_factor) {
  settings.lr *= lr_factor;
  return settings;
}

void restore(at::Tensor& tensor, const at::Tensor& saved, const std::string& name) {
  // What was put together from slices is flat.
  const bool fits =
      saved.sizes() == tensor.sizes() || (saved.dim() == 1 && saved.numel() == tensor.numel());
  if (!fits)
    throw DataError("the saved state of " + name + " has another shape than the model",
                    "delete the run folder's checkpoints to train from the beginning");
  tensor.copy_(saved.view(tensor.sizes()));
}

}  // namespace

AdamW::AdamW(std::vector<OptimizedTensor> tensors, const RunContext& context)
    : context_(context), tensors_(std::move(tensors)) {
  for (size_t i = 0; i < tensors_.size(); ++i) {
    const auto& [name, leaf, storage, settings] = tensors_[i];
    QTK_CHECK(storage || leaf.scalar_type() == at::kFloat, name, " is ", leaf.scalar_type(),
              ", but a leaf without a storage of its own must be fp32");
    const auto options = leaf.options().dtype(at::kFloat).requires_grad(false);
    first_.push_back(at::zeros(leaf.sizes(), options));
    second_.push_back(at::zeros(leaf.sizes(), options));
    const bool has_storage = storage != nullptr;
    auto group = std::ranges::find_if(groups_, [&](const Group& known) {
      return known.settings == settings && known.has_storage == has_storage;
    });
    if (group == groups_.end()) group = groups_.insert(groups_.end(), {settings, {}, has_storage});
    group->members.push_back(i);
  }
  count_ = at::zeros({}, at::TensorOptions(at::kFloat).device(context_.device()));
}

void AdamW::step(double lr_factor, const at::Tensor& skip, int64_t step) {
  const at::NoGradGuard no_grad;
  count_.add_(1 - skip);
  for (const auto& group : groups_)
    if (group.has_storage)
      step_stored(group, lr_factor, skip, step);
    else
      step_fused(group, lr_factor, skip);
}

void AdamW::step_fused(const Group& group, double lr_factor, const at::Tensor& skip) {
  std::vector<at::Tensor> values, gradients, first, second;
  for (const size_t i : group.members) {
    const at::Tensor& gradient = tensors_[i].leaf.grad();
    if (!gradient.defined()) continue;
    values.push_back(tensors_[i].leaf);
    gradients.push_back(gradient);
    first.push_back(first_[i]);
    second.push_back(second_[i]);
  }
  if (values.empty()) return;
  const std::vector<at::Tensor> counts(values.size(), count_);
  const auto s = scaled(group.settings, lr_factor);
  at::_fused_adamw_(values, gradients, first, second, {}, counts, s.lr, s.beta1, s.beta2,
                    s.weight_decay, s.eps, /*amsgrad=*/false, /*maximize=*/false,
                    /*grad_scale=*/{}, /*found_inf=*/skip);
}

void AdamW::step_stored(const Group& group, double lr_factor, const at::Tensor& skip,
                        int64_t step) {
  const auto is_skipped = skip.eq(1);
  for (const size_t i : group.members) {
    const auto& [name, leaf, storage, settings] = tensors_[i];
    if (!leaf.grad().defined()) continue;
    const auto value = storage->read();
    auto first = first_[i].clone(), second = second_[i].clone();
    const auto updated =
        adamw_ref(value, leaf.grad(), first, second, count_, scaled(settings, lr_factor));
    first_[i] = at::where(is_skipped, first_[i], first);
    second_[i] = at::where(is_skipped, second_[i], second);
    storage->write(at::where(is_skipped, value, updated),
                   context_.random("optimizer.rounding", step, name));
  }
}

void AdamW::save(StateWriter& out) const {
  out.tensor("count", count_);
  for (size_t i = 0; i < tensors_.size(); ++i) {
    out.tensor(tensors_[i].name + "/first", first_[i]);
    out.tensor(tensors_[i].name + "/second", second_[i]);
  }
}

void AdamW::load(StateReader& in) {
  const at::NoGradGuard no_grad;
  restore(count_, in.tensor("count"), "count");
  for (size_t i = 0; i < tensors_.size(); ++i) {
    const std::string& name = tensors_[i].name;
    restore(first_[i], in.tensor(name + "/first"), name);
    restore(second_[i], in.tensor(name + "/second"), name);
  }
}

at::Tensor adamw_ref(const at::Tensor& value, const at::Tensor& gradient, at::Tensor& first,
                     at::Tensor& second, const at::Tensor& step, const AdamWSettings& s) {
  const auto g = gradient.to(at::kFloat);
  first.mul_(s.beta1).add_(g, 1 - s.beta1);
  second.mul_(s.beta2).addcmul_(g, g, 1 - s.beta2);
  const auto steps = step.to(at::kDouble);
  const auto first_correction = 1 - at::pow(s.beta1, steps);
  const auto second_correction = 1 - at::pow(s.beta2, steps);
  const auto root = (second / second_correction).sqrt() + s.eps;
  const auto decayed = value.to(at::kFloat) * (1 - s.lr * s.weight_decay);
  return (decayed - s.lr * (first / first_correction) / root).to(at::kFloat);
}

}  // namespace qtk::train
