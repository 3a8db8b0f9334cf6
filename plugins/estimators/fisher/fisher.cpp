// Trace of the empirical Fisher matrix: mean over samples of |gradient of that sample's loss|^2.
#include "trace/probing.hpp"

#include <qtk/plugin.hpp>

#include <ATen/ATen.h>

#include <cmath>

namespace qtk {
namespace {

struct FisherOptions {
  std::string weighting = "none";
  int64_t bits = 4;

  static void describe(OptionSet<FisherOptions>& o) {
    o.field("weighting", &FisherOptions::weighting)
        .one_of({"none", "noise"})
        .paper("FIT, section 3: noise model")
        .doc("noise: times the variance of uniform quantization noise of the layer's weights.");
    o.field("bits", &FisherOptions::bits)
        .range(1, 16)
        .unit("bit")
        .doc("Width of the codes whose noise weights the trace.");
  }
};

/// (range / (2^b - 1))^2 / 12, the variance of rounding to 2^b levels over the weight's range.
double noise_variance(const at::Tensor& weight, int64_t bits) {
  const double range = (weight.max() - weight.min()).item<double>();
  const double step = range / (std::exp2(static_cast<double>(bits)) - 1);
  return step * step / 12;
}

class Fisher final : public Estimator {
 public:
  explicit Fisher(FisherOptions options) : options_(std::move(options)) {}

  SensitivityTable estimate(ModelProbe& probe) override {
    const auto norms = squared_norms(probe);
    const bool is_weighted = options_.weighting == "noise";
    std::vector<trace::Estimate> estimates;
    for (size_t site = 0; site < norms.size(); ++site) {
      const auto& moments = norms[site];
      const double factor =
          is_weighted ? noise_variance(probe.weight(static_cast<int64_t>(site)), options_.bits) : 1;
      estimates.push_back(
          {.value = factor * moments.mean(),
           .sampling_error = factor * std::sqrt(moments.variance() / moments.count)});
    }
    return trace::table_of(probe, is_weighted ? "fit" : "fisher_trace", estimates);
  }

 private:
  /// Per site, over all samples. A sample has a backward pass of its own: the norm of a mean of
  /// gradients is another, smaller number.
  static std::vector<trace::Moments> squared_norms(ModelProbe& probe) {
    std::vector<trace::Moments> norms(probe.sites().size());
    int64_t total = 0, index = 0;
    for (const int64_t size : probe.batch_sizes()) total += size;
    for (int64_t batch = 0; batch < std::ssize(probe.batch_sizes()); ++batch)
      for (int64_t sample = 0; sample < probe.batch_sizes()[static_cast<size_t>(batch)]; ++sample) {
        const std::string key =
            "batch " + std::to_string(batch) + " sample " + std::to_string(sample);
        const auto values = probe.once({.key = key, .index = index++, .total = total}, [&] {
          return trace::squared_norms(
              probe.gradients(batch, trace::all_sites(probe), {.sample = sample}));
        });
        for (size_t site = 0; site < norms.size(); ++site) norms[site].add(values.at(site));
      }
    return norms;
  }

  const FisherOptions options_;
};

}  // namespace
}  // namespace qtk

using qtk::Fisher;
using qtk::FisherOptions;
QTK_PLUGIN(Estimator, Fisher, FisherOptions, .name = "fisher", .version = "0.1.0",
           .summary = "Trace of the empirical Fisher matrix, one backward pass per sample",
           .paper = "Zandonati et al., FIT, 2022, arXiv 2210.08502")
