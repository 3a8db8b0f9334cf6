// Sum over tensors of |v_j . (H v)_j| within a block, mean over random v: the ranking figure of
// mixed-precision search tools.
#include "trace/probing.hpp"

#include <qtk/plugin.hpp>

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>

namespace qtk {
namespace {

constexpr int64_t kVectorsPerRound = 10;  // they share each batch's graph

struct HessianVhpOptions {
  int64_t iterations = 100;
  bool absolute = true;
  std::string hvp = "double_backward";
  double hvp_step = HessianOptions{}.relative_step;
  double target_error = 0;
  int64_t vectors_at_once = 1;

  static void describe(OptionSet<HessianVhpOptions>& o) {
    o.field("iterations", &HessianVhpOptions::iterations)
        .range(2, 1 << 20)
        .original("--max_iter")
        .doc("Random vectors, each through all batches; with target_error at most so many.");
    o.field("absolute", &HessianVhpOptions::absolute)
        .doc("Take |v_j . (H v)_j| per layer, which is biased upwards; false gives the trace.");
    trace::describe_target(o, " (its median over the layers of a block)");
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
        estimates[static_cast<size_t>(sites[i])] =
            trace::from_values(std::span(values).subspan(kNumbers * i, kNumbers));
    }
    return trace::table_of(probe, options_.absolute ? "absolute_vhp" : "hessian_trace", estimates);
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

  /// The numbers of an estimate for every site of a block.
  std::vector<double> estimate_group(ModelProbe& probe, const std::vector<int64_t>& sites) const {
    std::vector<trace::Moments> moments(sites.size());
    std::vector<trace::Estimate> estimates;
    bool is_reached = false;
    for (int64_t first = 0; first < options_.iterations && !is_reached; first += kVectorsPerRound) {
      const int64_t count = std::min(kVectorsPerRound, options_.iterations - first);
      add(mean_samples(probe, sites, first, count), moments);
      estimates.clear();
      for (const auto& of_site : moments)
        estimates.push_back({.value = of_site.mean(),
                             .standard_error = std::sqrt(of_site.variance() / of_site.count)});
      is_reached = options_.target_error > 0 &&
                   trace::median_relative_error(estimates) <= options_.target_error;
    }
    std::vector<double> values;
    for (auto& estimate : estimates) {
      estimate.is_target_missed =
          options_.target_error > 0 && !estimate.reaches(options_.target_error);
      std::ranges::copy(trace::to_values(estimate), std::back_inserter(values));
    }
    return values;
  }

  /// v_j . (H v)_j for the mean of the Hessian over all batches, which see the same vectors; linear
  /// in H, so that the mean may be taken of the numbers. [count, sites]
  at::Tensor mean_samples(ModelProbe& probe, const std::vector<int64_t>& sites, int64_t first,
                          int64_t count) const {
    const auto form = trace::hessian_options(options_);
    auto sum = at::zeros({count, std::ssize(sites)}, at::kDouble);
    for (int64_t batch = 0; batch < std::ssize(probe.batch_sizes()); ++batch)
      sum += trace::joint_samples(context_, probe, sites, probe.hessian(batch, sites, form), form,
                                  {"hessian_vhp.probe", 0, first, count});
    return sum / static_cast<double>(std::ssize(probe.batch_sizes()));
  }

  void add(const at::Tensor& samples, std::vector<trace::Moments>& moments) const {
    const auto counted = options_.absolute ? samples.abs() : samples;
    const auto rows = counted.accessor<double, 2>();
    for (int64_t k = 0; k < rows.size(0); ++k)
      for (size_t i = 0; i < moments.size(); ++i) moments[i].add(rows[k][static_cast<int64_t>(i)]);
  }

  static constexpr size_t kNumbers = 4;  // of an estimate
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
