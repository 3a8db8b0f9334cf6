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
  int64_t vectors_at_once = 1;

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
    trace::describe_target(o, "");
    trace::describe_hvp(o);
  }
};

class Hutchpp final : public Estimator {
 public:
  Hutchpp(HutchppOptions options, RunContext& context)
      : options_(std::move(options)), context_(context) {}

  SensitivityTable estimate(ModelProbe& probe) override {
    std::vector<trace::Estimate> estimates;
    const auto count = std::ssize(probe.sites());
    for (int64_t site = 0; site < count; ++site) {
      const auto& name = probe.sites()[static_cast<size_t>(site)].name;
      estimates.push_back(
          trace::from_values(probe.once({.key = name, .index = site, .total = count}, [&] {
            return trace::to_values(estimate_site(probe, site));
          })));
    }
    return trace::table_of(probe, "hessian_trace", estimates);
  }

 private:
  trace::Estimate estimate_site(ModelProbe& probe, int64_t site) const {
    return trace::hutchpp(trace::site_hessian(probe, site, trace::hessian_options(options_)),
                          trace::site_probes(context_, probe, site, "hutchpp.sketch"),
                          trace::site_probes(context_, probe, site, "hutchpp.query"),
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
