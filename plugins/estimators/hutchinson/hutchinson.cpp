// Hutchinson's trace estimate: of one site at a time, or of all sites from one product.
#include "trace/joint_trace.hpp"
#include "trace/rounds.hpp"

#include <qtk/plugin.hpp>

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

namespace qtk {
namespace {

constexpr int64_t kQueriesPerUnit = 10;  // probes that share one gradient's graph

struct HutchinsonOptions {
  std::string mode = "all";
  int64_t num_query = 50;
  int64_t num_sketch = 0;
  bool balance = true;
  double target_error = 0;
  std::string hvp = "double_backward";
  double hvp_step = HessianOptions{}.relative_step;
  int64_t vectors_at_once = 1;

  static void describe(OptionSet<HutchinsonOptions>& o) {
    o.field("mode", &HutchinsonOptions::mode)
        .one_of({"all", "tensor"})
        .doc(
            "Probe all layers with one product, or one layer at a time (less noise, many times "
            "the work).");
    o.field("num_query", &HutchinsonOptions::num_query)
        .range(2, 1 << 20)
        .doc("Random vectors per batch; with target_error at most so many.");
    o.field("num_sketch", &HutchinsonOptions::num_sketch)
        .range(0, 1024)
        .paper("Hutch++, algorithm 1, over all layers together")
        .doc(
            "Mode `all`: vectors that span what layers share, which is measured exactly. Each "
            "takes the memory of all layers' weights.");
    o.field("balance", &HutchinsonOptions::balance)
        .doc(
            "Mode `all`: scale each layer's random vector by its gradient, so that layers of "
            "small curvature do not drown in the noise of the others.");
    trace::describe_target(o, " (mode `all`: its median over layers)");
    trace::describe_hvp(o);
  }
};

class Hutchinson final : public Estimator {
 public:
  Hutchinson(HutchinsonOptions options, RunContext& context)
      : options_(std::move(options)), context_(context) {}

  SensitivityTable estimate(ModelProbe& probe) override {
    const auto estimates = options_.mode == "all" ? estimate_all(probe) : estimate_each(probe);
    return trace::table_of(probe, "hessian_trace", estimates);
  }

 private:
  std::vector<trace::Estimate> estimate_each(ModelProbe& probe) const {
    std::vector<trace::Estimate> estimates;
    const auto count = std::ssize(probe.sites());
    for (int64_t site = 0; site < count; ++site) {
      const auto compute = [&] {
        return trace::to_values(
            trace::hutchpp(trace::site_hessian(probe, site, trace::hessian_options(options_)), {},
                           trace::site_probes(context_, probe, site, kPurpose),
                           {0, options_.num_query, options_.target_error}));
      };
      const auto& name = probe.sites()[static_cast<size_t>(site)].name;
      estimates.push_back(
          trace::from_values(probe.once({.key = name, .index = site, .total = count}, compute)));
    }
    return estimates;
  }

  // One product H v with independent signs v_i for every site: v_i' (H v)_i has the mean
  // trace(H_ii), because the mean of v_i' H_ij v_j is zero for i != j.
  std::vector<trace::Estimate> estimate_all(ModelProbe& probe) const {
    trace::JointTrace joint(context_, probe, scales(probe), trace::hessian_options(options_),
                            kPurpose);
    return trace::estimate_in_rounds(probe, rounds(probe), exact_parts(probe, joint),
                                     [&](int64_t batch, int64_t first, int64_t count) {
                                       restore_sketch(probe, joint);
                                       return joint.samples(batch, first, count);
                                     });
  }

  trace::Rounds rounds(const ModelProbe& probe) const {
    return {.num_query = options_.num_query,
            .per_unit = kQueriesPerUnit,
            .target_error = options_.target_error,
            .what = "queries",
            .total_units = num_units(probe)};
  }

  /// At most, for progress.
  int64_t num_units(const ModelProbe& probe) const {
    const auto batches = std::ssize(probe.batch_sizes());
    const int64_t rounds = (options_.num_query + kQueriesPerUnit - 1) / kQueriesPerUnit;
    return (rounds + (options_.num_sketch > 0 ? 1 : 0)) * batches +
           (options_.num_sketch > 0 ? 1 : 0) + (options_.balance ? 1 : 0);
  }

  // Curvature goes with the square of the gradient (fisher ranks layers much as the trace does), so
  // that C H C with c = 1 / |gradient| has blocks of like size. Any c gives the same mean.
  std::vector<double> scales(ModelProbe& probe) const {
    std::vector<double> scales(probe.sites().size(), 1);
    if (!options_.balance) return scales;
    const auto squares = probe.once({.key = "balance", .total = num_units(probe)}, [&] {
      std::vector<double> sums(probe.sites().size(), 0);
      for (int64_t batch = 0; batch < std::ssize(probe.batch_sizes()); ++batch) {
        const auto norms = trace::squared_norms(probe.gradients(batch, trace::all_sites(probe)));
        for (size_t i = 0; i < sums.size(); ++i) sums[i] += norms[i];
      }
      return sums;
    });
    const double largest = *std::ranges::max_element(squares);
    if (!(largest > 0) || !std::isfinite(largest)) return scales;
    for (size_t i = 0; i < scales.size(); ++i)
      scales[i] = std::sqrt(largest / std::max(squares[i], kLeastShare * largest));
    return scales;
  }

  /// By site and batch; zeros without a sketch.
  std::vector<std::vector<double>> exact_parts(ModelProbe& probe, trace::JointTrace& joint) const {
    const auto batches = static_cast<size_t>(std::ssize(probe.batch_sizes()));
    std::vector parts(probe.sites().size(), std::vector<double>(batches, 0));
    if (options_.num_sketch == 0) return parts;
    probe.once({.key = "sketch", .total = num_units(probe)}, [&] {
      joint.sketch(options_.num_sketch);
      return std::vector<double>();
    });
    for (size_t batch = 0; batch < batches; ++batch) {
      const auto values =
          probe.once({.key = "batch " + std::to_string(batch) + " sketched part"}, [&] {
            restore_sketch(probe, joint);
            return joint.within(static_cast<int64_t>(batch));
          });
      for (size_t site = 0; site < parts.size(); ++site) parts[site][batch] = values.at(site);
    }
    return parts;
  }

  /// The basis is too large for the journal: a resumed run makes the same once more.
  void restore_sketch(ModelProbe& probe, trace::JointTrace& joint) const {
    if (options_.num_sketch > 0 && !joint.has_sketch())
      probe.repeat([&] { joint.sketch(options_.num_sketch); });
  }

  static constexpr double kLeastShare = 1e-8;  // of the largest squared gradient
  static constexpr const char* kPurpose = "hutchinson.probe";
  const HutchinsonOptions options_;
  RunContext& context_;
};

}  // namespace
}  // namespace qtk

using qtk::Hutchinson;
using qtk::HutchinsonOptions;
QTK_PLUGIN(Estimator, Hutchinson, HutchinsonOptions, .name = "hutchinson", .version = "0.1.0",
           .summary = "Hessian trace of all layers at once from random signs",
           .paper = "Hutchinson 1990; Dong et al., HAWQ-V2, NeurIPS 2020, arXiv 1911.03852")
