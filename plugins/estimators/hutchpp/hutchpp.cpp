// Hutch++ trace of the Hessian's diagonal block of every site, one site at a time.
#include "trace/probing.hpp"

#include <qtk/plugin.hpp>

namespace qtk {
namespace {

struct HutchppOptions {
  int64_t num_sketch = 10;
  int64_t num_query = 20;
  double target_error = 0;
  std::string hvp = "double_backward";
  double hvp_step = HessianOptions{}.relative_step;

  static void describe(OptionSet<HutchppOptions>& o) {
    o.field("num_sketch", &HutchppOptions::num_sketch)
        .range(0, 4096)
        .original("--num-sketch")
        .paper("Hutch++, algorithm 1")
        .doc("Vectors that span the part of the Hessian whose trace is taken exactly.");
    o.field("num_query", &HutchppOptions::num_query)
        .range(2, 1 << 20)
        .original("--num-query")
        .paper("Hutch++, algorithm 1")
        .doc("Random vectors per batch for the rest; with target_error at most so many.");
    o.field("target_error", &HutchppOptions::target_error)
        .range(0, 1)
        .doc("Relative standard error at which no more random vectors are drawn; 0: all are.");
    trace::describe_hvp(o);
  }
};

class Hutchpp final : public Estimator {
 public:
  Hutchpp(HutchppOptions options, RunContext& context)
      : options_(std::move(options)), context_(context) {}

  SensitivityTable estimate(ModelProbe& probe) override {
    SensitivityTable table{.quantity = "hessian_trace"};
    const auto count = std::ssize(probe.sites());
    for (int64_t site = 0; site < count; ++site) {
      const auto& name = probe.sites()[static_cast<size_t>(site)];
      const auto values = probe.once({.key = name.name, .index = site, .total = count},
                                     [&] { return trace::to_values(estimate_site(probe, site)); });
      table.entries.push_back(trace::entry_of(name, trace::from_values(values)));
    }
    return table;
  }

 private:
  trace::Estimate estimate_site(ModelProbe& probe, int64_t site) const {
    const auto& name = probe.sites()[static_cast<size_t>(site)];
    const auto weight = probe.weight(site);
    return trace::hutchpp(trace::site_hessian(probe, site, trace::hessian_options(options_)),
                          trace::site_probes(context_, "hutchpp.sketch", name, weight),
                          trace::site_probes(context_, "hutchpp.query", name, weight),
                          {options_.num_sketch, options_.num_query, options_.target_error});
  }

  const HutchppOptions options_;
  RunContext& context_;
};

}  // namespace
}  // namespace qtk

using qtk::Hutchpp;
using qtk::HutchppOptions;
QTK_PLUGIN(Estimator, Hutchpp, HutchppOptions, .name = "hutchpp", .version = "0.1.0",
           .summary = "Hessian trace per layer: exact on a sketched subspace, random for the rest",
           .paper = "Meyer, Musco, Musco, Woodruff, Hutch++, SOSA 2021, arXiv 2010.09649")
