// Linear softmax classifiers as probes: loss, gradient and Hessian (diag(p) - p p') x xx' in closed
// form.
#pragma once

#include <qtk/api/estimator.hpp>
#include <qtk/runtime/check.hpp>
#include <qtk/testing/quadratic_probe.hpp>

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

namespace qtk::testing {

struct Classified {
  at::Tensor x;  // [in]
  int64_t target;
};

struct Classifier {
  at::Tensor weight;  // [classes, in] fp64
  std::vector<Classified> samples;
};

inline at::Tensor reals(std::vector<double> values) { return at::tensor(values, at::kDouble); }

/// FIT 3.6500383098, mean trace of the Hessian 2.2947928894, squared norm of the mean gradient
/// 1.4815842908.
inline Classifier three_classes() {
  return {reals({.5, -.2, .1, .4, -.3, .2}).view({3, 2}),
          {{reals({1, 2}), 2}, {reals({-.5, 1.5}), 0}}};
}
/// Trace of the Hessian 3.540529155, squared norm of the gradient 5.575609922.
inline Classifier four_classes() {
  return {reals({.2, -.1, .4, 0, .3, -.2, -.5, .1, .6, .3, .3, .1}).view({4, 3}),
          {{reals({1, -2, .5}), 1}}};
}

class SoftmaxRegression final : public ModelProbe {
 public:
  /// @param batches  samples of each, in order
  SoftmaxRegression(Classifier model, std::vector<int64_t> batches)
      : model_(std::move(model)),
        sizes_(std::move(batches)),
        sites_{site_of("model.layers.0.head", 0, model_.weight.size(0), model_.weight.size(1))} {}

  std::span<const LinearSite> sites() const override { return sites_; }
  std::span<const int64_t> batch_sizes() const override { return sizes_; }
  at::Tensor weight(int64_t) const override { return model_.weight; }
  double loss(int64_t, int64_t, const at::Tensor&) override { return 0; }
  std::vector<at::Tensor> gradients(int64_t batch, std::span<const int64_t>,
                                    const GradientOptions& options) override {
    auto sum = at::zeros_like(model_.weight);
    const auto chosen = samples(batch, options.sample);
    auto labels = options.labels;
    for (const auto& one : chosen) {
      auto residual = probabilities(one);
      residual[labels ? drawn(residual, labels->uniform()) : one.target] -= 1;
      sum += at::outer(residual, one.x);
    }
    const auto count = static_cast<double>(chosen.size());
    return {sum / (labels ? std::sqrt(count) : count)};
  }
  HessianProduct hessian(int64_t batch, std::span<const int64_t>, const HessianOptions&) override {
    return [this, batch](std::span<const at::Tensor> vectors) {
      auto sum = at::zeros_like(vectors[0]);
      const auto chosen = samples(batch, std::nullopt);
      for (const auto& one : chosen) {
        const auto p = probabilities(one);
        const auto curvature = at::diag(p) - at::outer(p, p);
        for (int64_t k = 0; k < sum.size(0); ++k)
          sum[k] += at::mm(at::mm(curvature, vectors[0][k]), at::outer(one.x, one.x));
      }
      return std::vector{sum / static_cast<double>(chosen.size())};
    };
  }
  std::vector<double> once(const WorkUnit&,
                           const std::function<std::vector<double>()>& compute) override {
    return compute();
  }

 private:
  std::vector<Classified> samples(int64_t batch, std::optional<int64_t> sample) const {
    int64_t begin = 0;
    for (int64_t b = 0; b < batch; ++b) begin += sizes_[static_cast<size_t>(b)];
    if (sample) return {model_.samples.at(static_cast<size_t>(begin + *sample))};
    const auto first = model_.samples.begin() + begin;
    return {first, first + sizes_[static_cast<size_t>(batch)]};
  }
  static int64_t drawn(const at::Tensor& probabilities, double uniform) {
    const auto below = probabilities.cumsum(0).le(uniform).sum().item<int64_t>();
    return std::min(below, probabilities.size(0) - 1);
  }
  at::Tensor probabilities(const Classified& one) const {
    return at::softmax(model_.weight.mv(one.x), 0);
  }

  const Classifier model_;
  const std::vector<int64_t> sizes_;
  const std::vector<LinearSite> sites_;
};

}  // namespace qtk::testing
