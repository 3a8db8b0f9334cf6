// Norm of the mean gradient: the cheapest figure that ranks layers.
#include "trace/probing.hpp"

#include <qtk/plugin.hpp>

#include <ATen/ATen.h>

#include <cmath>

namespace qtk {
namespace {

class GradNorm final : public Estimator {
 public:
  explicit GradNorm(NoOptions) {}

  SensitivityTable estimate(ModelProbe& probe) override {
    // One unit: what an interruption would keep is as large as the model.
    const auto norms = probe.once({.key = "mean gradient", .index = 0, .total = 1},
                                  [&] { return norms_of_mean(probe); });
    std::vector<trace::Estimate> estimates;
    for (const double norm : norms) estimates.push_back({.value = norm});
    return trace::table_of(probe, "gradient_norm", estimates);
  }

 private:
  static std::vector<double> norms_of_mean(ModelProbe& probe) {
    double total = 0;
    for (const int64_t size : probe.batch_sizes()) total += static_cast<double>(size);
    std::vector<at::Tensor> mean;
    for (int64_t batch = 0; batch < std::ssize(probe.batch_sizes()); ++batch) {
      auto gradients = probe.gradients(batch, trace::all_sites(probe));
      const double share =
          static_cast<double>(probe.batch_sizes()[static_cast<size_t>(batch)]) / total;
      for (size_t i = 0; i < gradients.size(); ++i) gradients[i].mul_(share);
      if (mean.empty())
        mean = std::move(gradients);
      else
        for (size_t i = 0; i < mean.size(); ++i) mean[i].add_(gradients[i]);
    }
    auto norms = trace::squared_norms(mean);
    for (auto& norm : norms) norm = std::sqrt(norm);
    return norms;
  }
};

}  // namespace
}  // namespace qtk

using qtk::GradNorm;
using qtk::NoOptions;
QTK_PLUGIN(Estimator, GradNorm, NoOptions, .name = "grad_norm", .version = "0.1.0",
           .summary = "Norm of the mean gradient, one backward pass per batch")
