#include "train/local_gradients.hpp"

#include "base/fault_point.hpp"
#include "train/gradient_norm.hpp"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>

namespace qtk::train {

GradientSource::~GradientSource() = default;

at::Tensor sent_to(const at::Tensor& batch, c10::Device device) {
  if (device.is_cpu()) return batch;
  return batch.pin_memory().to(device, /*non_blocking=*/true);
}

StepSums LocalGradients::accumulate(int64_t, int64_t first_window) {
  const int64_t predictions = batches_.predictions(first_window, settings_.global_batch);
  const double scale = 1.0 / static_cast<double>(std::max<int64_t>(1, predictions));
  const c10::AutoGradMode records(true);
  const auto zero = at::zeros({}, at::TensorOptions(at::kFloat).device(device_));
  StepSums sums{zero.clone(), zero.clone(), {}};
  for (int64_t at = 0; at < settings_.global_batch; at += settings_.micro_batch) {
    fault_point("forward");
    const auto batch = batches_.batch(first_window + at, settings_.micro_batch);
    const auto loss =
        model_.loss(sent_to(batch.inputs, device_), sent_to(batch.targets, device_), scale);
    fault_point("backward");
    torch::autograd::backward({loss.loss}, {});
    sums.cross_entropy.add_(loss.cross_entropy);
    sums.divergence.add_(loss.divergence);
  }
  const at::NoGradGuard no_grad;
  sums.norm = gradient_norm(model_.gradients()).to(device_);
  return sums;
}

}  // namespace qtk::train
