// Sum over tensors of |v_j . (H v)_j| within a block, mean over random v: the ranking figure of
// mixed-precision search tools.
#include "trace/probing.hpp"

#include <qtk/plugin.hpp>

#include <cmath>
#include <map>

namespace qtk {
namespace {

struct HessianVhpOptions {
  int64_t iterations = 100;
  bool absolute = true;
  std::string hvp = "double_backward";
  double hvp_step = HessianOptions{}.relative_step;

  static void describe(OptionSet<HessianVhpOptions>& o) {
    o.field("iterations", &HessianVhpOptions::iterations)
        .range(2, 1 << 20)
        .original("--max_iter")
        .doc("Random vectors; each goes through all batches.");
    o.field("absolute", &HessianVhpOptions::absolute)
        .doc("Take |v_j . (H v)_j| per layer, which is biased upwards; false gives the trace.");
    trace::describe_hvp(o);
  }
};

class HessianVhp final : public Estimator {
 public:
  HessianVhp(HessianVhpOptions options, RunContext& context)
      : options_(std::move(options)), context_(context) {}

  SensitivityTable estimate(ModelProbe& probe) override {
    std::vector<trace::Estimate> estimates(probe.sites().size());
    const auto groups = groups_of(probe);
    int64_t index = 0;
    for (const auto& [key, sites] : groups) {
      const auto values =
          probe.once({.key = key, .index = index++, .total = std::ssize(groups)},
                     [&, &members = sites] { return estimate_group(probe, members); });
      for (size_t i = 0; i < sites.size(); ++i)
        estimates[static_cast<size_t>(sites[i])] = {.value = values.at(2 * i),
                                                    .standard_error = values.at(2 * i + 1)};
    }
    SensitivityTable table{.quantity = options_.absolute ? "absolute_vhp" : "hessian_trace"};
    for (size_t site = 0; site < estimates.size(); ++site)
      table.entries.push_back(trace::entry_of(probe.sites()[site], estimates[site]));
    return table;
  }

 private:
  /// The sites of a block are probed together; a site outside of blocks stands alone. In the order
  /// of blocks, so that the probe can go on from the states of the block before.
  static std::vector<std::pair<std::string, std::vector<int64_t>>> groups_of(
      const ModelProbe& probe) {
    std::map<int, std::vector<int64_t>> blocks;
    std::vector<std::pair<std::string, std::vector<int64_t>>> groups;
    for (const int64_t site : trace::all_sites(probe))
      if (const auto& name = probe.sites()[static_cast<size_t>(site)]; name.block < 0)
        groups.emplace_back(name.name, std::vector{site});
      else
        blocks[name.block].push_back(site);
    for (auto& [block, sites] : blocks)
      groups.emplace_back("layer " + std::to_string(block), std::move(sites));
    return groups;
  }

  /// Mean and standard error per site.
  std::vector<double> estimate_group(ModelProbe& probe, const std::vector<int64_t>& sites) const {
    const auto count = static_cast<size_t>(options_.iterations);
    std::vector samples(sites.size(), std::vector<double>(count, 0));
    const auto batches = std::ssize(probe.batch_sizes());
    for (int64_t batch = 0; batch < batches; ++batch) {
      const auto product = probe.hessian(batch, sites, trace::hessian_options(options_));
      for (size_t k = 0; k < count; ++k) {
        std::vector<at::Tensor> signs;
        for (const int64_t site : sites)
          signs.push_back(
              trace::site_signs(context_, "hessian_vhp.probe", 0, static_cast<int64_t>(k),
                                probe.sites()[static_cast<size_t>(site)], probe.weight(site)));
        const auto products = product(signs);
        // Linear in H, so that the mean over batches may be taken of the numbers.
        for (size_t i = 0; i < sites.size(); ++i)
          samples[i][k] +=
              trace::inner_product(signs[i], products[i]) / static_cast<double>(batches);
      }
    }
    std::vector<double> values;
    for (const auto& of_site : samples) {
      trace::Moments moments;
      for (const double sample : of_site)
        moments.add(options_.absolute ? std::abs(sample) : sample);
      values.push_back(moments.mean());
      values.push_back(std::sqrt(moments.variance() / moments.count));
    }
    return values;
  }

  const HessianVhpOptions options_;
  RunContext& context_;
};

}  // namespace
}  // namespace qtk

using qtk::HessianVhp;
using qtk::HessianVhpOptions;
QTK_PLUGIN(
    Estimator, HessianVhp, HessianVhpOptions, .name = "hessian_vhp", .version = "0.1.0",
    .summary = "Vector-Hessian products with random signs within a block, as search tools use",
    .paper = "Hutchinson 1990; ranking of mixed-precision search tools")
