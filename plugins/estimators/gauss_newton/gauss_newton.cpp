// Trace of the Gauss-Newton matrix of every layer at once, from gradients of drawn labels.
#include "trace/probing.hpp"

#include <qtk/plugin.hpp>

#include <algorithm>
#include <string>

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
    const auto batches = std::ssize(probe.batch_sizes());
    std::vector<std::vector<trace::Moments>> moments(
        probe.sites().size(), std::vector<trace::Moments>(static_cast<size_t>(batches)));
    std::vector<trace::Estimate> estimates(moments.size());
    bool is_reached = false;
    int64_t unit = 0;
    const int64_t units = (options_.num_query + kDrawsPerUnit - 1) / kDrawsPerUnit * batches;
    for (int64_t first = 0; first < options_.num_query && !is_reached; first += kDrawsPerUnit) {
      const int64_t last = std::min(first + kDrawsPerUnit, options_.num_query);
      for (int64_t batch = 0; batch < batches; ++batch) {
        const std::string key = "batch " + std::to_string(batch) + " draws " +
                                std::to_string(first) + " to " + std::to_string(last - 1);
        add(probe.once({.key = key, .index = unit++, .total = units},
                       [&] { return draw(probe, batch, first, last); }),
            static_cast<size_t>(batch), moments);
      }
      for (size_t site = 0; site < moments.size(); ++site)
        estimates[site] = trace::mean_of_batches(moments[site]);
      is_reached = options_.target_error > 0 &&
                   trace::median_relative_error(estimates) <= options_.target_error;
    }
    for (auto& estimate : estimates)
      estimate.is_target_missed =
          options_.target_error > 0 && !estimate.reaches(options_.target_error);
    return trace::table_of(probe, "gauss_newton_trace", estimates);
  }

 private:
  /// Squared norms of every site, draw after draw.
  std::vector<double> draw(ModelProbe& probe, int64_t batch, int64_t first, int64_t last) const {
    const auto sites = trace::all_sites(probe);
    std::vector<double> values;
    for (int64_t query = first; query < last; ++query) {
      const GradientOptions options{
          .labels = context_.random("gauss_newton.labels", (batch << 32) + query)};
      for (const double norm : trace::squared_norms(probe.gradients(batch, sites, options)))
        values.push_back(norm);
    }
    return values;
  }

  static void add(const std::vector<double>& values, size_t batch,
                  std::vector<std::vector<trace::Moments>>& moments) {
    for (size_t i = 0; i < values.size(); ++i) moments[i % moments.size()][batch].add(values[i]);
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
