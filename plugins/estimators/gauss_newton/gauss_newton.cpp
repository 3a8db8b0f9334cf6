// Trace of the Gauss-Newton matrix of every layer at once, from gradients of drawn labels.
#include "trace/probing.hpp"
#include "trace/rounds.hpp"

#include <qtk/plugin.hpp>

#include <ATen/ATen.h>

#include <string>
#include <vector>

namespace qtk {
namespace {

struct GaussNewtonOptions {
  int64_t num_query = 20;
  double target_error = 0;

  static void describe(OptionSet<GaussNewtonOptions>& o) {
    o.field("num_query", &GaussNewtonOptions::num_query)
        .range(2, 1 << 20)
        .doc(
            "Draws of labels per batch, one backward pass each; with target_error at most so "
            "many.");
    trace::describe_target(o, " (median over layers)");
  }
};

/// For cross-entropy the Gauss-Newton matrix G is the covariance of gradients whose labels are
/// drawn from the model's own predictions (Martens, arXiv 1412.1193, section 9), so |g_i|^2 has the
/// mean trace(G_ii) for every layer i at once. Unlike v_i' (H v)_i it has no share of other layers
/// in it: its variance, about 2 |G_ii|_F^2, is that of probing the layer alone. G is the Hessian
/// without the curvature of the logits in the weights; its trace is never negative.
class GaussNewton final : public Estimator {
 public:
  GaussNewton(GaussNewtonOptions options, RunContext& context)
      : options_(options), context_(context) {}

  SensitivityTable estimate(ModelProbe& probe) override {
    trace::Rounds rounds{.num_query = options_.num_query,
                         .per_unit = kDrawsPerUnit,
                         .target_error = options_.target_error,
                         .what = "draws"};
    rounds.total_units = rounds.num_units(std::ssize(probe.batch_sizes()));
    const std::vector<std::vector<double>> nothing(probe.sites().size());
    return trace::table_of(
        probe, "gauss_newton_trace",
        trace::estimate_in_rounds(probe, rounds, nothing,
                                  [&](int64_t batch, int64_t first, int64_t count) {
                                    return draw(probe, batch, first, count);
                                  }));
  }

 private:
  /// Squared norms of the gradients: [count, sites].
  at::Tensor draw(ModelProbe& probe, int64_t batch, int64_t first, int64_t count) const {
    const auto sites = trace::all_sites(probe);
    std::vector<at::Tensor> rows;
    for (int64_t query = first; query < first + count; ++query) {
      const GradientOptions options{
          .labels = context_.random("gauss_newton.labels", (batch << 32) + query)};
      rows.push_back(
          at::tensor(trace::squared_norms(probe.gradients(batch, sites, options)), at::kDouble));
    }
    return at::stack(rows);
  }

  static constexpr int64_t kDrawsPerUnit = 4;
  const GaussNewtonOptions options_;
  RunContext& context_;
};

}  // namespace
}  // namespace qtk

using qtk::GaussNewton;
using qtk::GaussNewtonOptions;
QTK_PLUGIN(Estimator, GaussNewton, GaussNewtonOptions, .name = "gauss_newton", .version = "0.1.0",
           .summary = "Gauss-Newton trace of all layers at once from gradients of drawn labels",
           .paper =
               "Martens, New Insights and Perspectives on the Natural Gradient Method, "
               "arXiv 1412.1193")
