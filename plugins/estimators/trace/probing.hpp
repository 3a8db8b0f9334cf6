// What estimators share when they probe a model: random signs, products for one site, options, rows
// of the table.
#pragma once

#include "trace/hutchpp.hpp"

#include <qtk/api/estimator.hpp>
#include <qtk/options/option_set.hpp>

#include <string>
#include <vector>

namespace qtk::trace {

/// Names random vectors: those with the numbers first ... first + count - 1 of a batch.
struct ProbeKey {
  std::string purpose;  // "hutchpp.sketch"
  int64_t batch = 0;
  int64_t first = 0;  // below 2^32
  int64_t count = 1;
};

/// -1 and +1 with equal probability for every site, each [count, out, in] like the site's weight.
/// A vector's stream is named by the site, so that it depends neither on the order of sites nor on
/// sharding nor on how many are drawn at once; it is the same on every device. 64 signs of a random
/// word: what is drawn on the host and brought to the device is an eighth of a byte each.
std::vector<at::Tensor> signs(const RunContext& context, const ModelProbe& probe,
                              std::span<const int64_t> sites, const ProbeKey& key);
/// The same for one site as flat probes.
Probes site_probes(const RunContext& context, const ModelProbe& probe, int64_t site,
                   std::string purpose);

/// The diagonal block of the Hessian that belongs to one site, as a mean over batches.
MeanMatrix site_hessian(ModelProbe& probe, int64_t site, const HessianOptions& options);

std::vector<int64_t> all_sites(const ModelProbe& probe);

/// Columns of samples v_i' (H v)_i, one per site, for the vectors of `key`, which all sites of the
/// product share: [count, sites], fp64, on the host.
/// @param product  of these sites, made with `options`
at::Tensor joint_samples(const RunContext& context, const ModelProbe& probe,
                         std::span<const int64_t> sites, const HessianProduct& product,
                         const HessianOptions& options, const ProbeKey& key);

/// Sums of squares, brought to the host together.
std::vector<double> squared_norms(std::span<const at::Tensor> tensors);

/// When enough random vectors are drawn: member `target_error`.
template <class Options>
void describe_target(OptionSet<Options>& o, const std::string& of_what) {
  o.field("target_error", &Options::target_error)
      .range(0, 1)
      .doc("Relative standard error" + of_what +
           " at which no more random vectors are drawn; 0: all are.");
}

/// Options that every estimator with Hessian-vector products has: members `hvp`, `hvp_step` and
/// `vectors_at_once`.
template <class Options>
void describe_hvp(OptionSet<Options>& o) {
  o.field("hvp", &Options::hvp)
      .one_of({"double_backward", "differences"})
      .doc(
          "How Hessian-vector products are made; central differences of gradients need less "
          "memory, no second derivatives, and two backward passes each.");
  o.field("hvp_step", &Options::hvp_step)
      .range(1e-8, 1)
      .doc("Step of the differences relative to |w| / |v|.");
  o.field("vectors_at_once", &Options::vectors_at_once)
      .range(1, 256)
      .doc(
          "Random vectors per product: more of them fill a GPU, and need that many times the "
          "memory of activations. The same vectors are drawn whatever it is.");
}
template <class Options>
HessianOptions hessian_options(const Options& options) {
  return {.form = options.hvp == "differences" ? HessianForm::kFiniteDifferences
                                               : HessianForm::kDoubleBackward,
          .relative_step = options.hvp_step,
          .vectors = options.vectors_at_once};
}

// An estimate as numbers of a WorkUnit and back.
std::vector<double> to_values(const Estimate& estimate);
Estimate from_values(std::span<const double> values);

/// The middle of the relative standard errors; infinity counts for a value that has none.
double median_relative_error(std::span<const Estimate> estimates);

/// Flags follow from the estimate: "negative", "not_finite", "target_error_missed".
SensitivityEntry entry_of(const LinearSite& site, const Estimate& estimate);
/// One row per site of the probe, in its order.
SensitivityTable table_of(const ModelProbe& probe, std::string quantity,
                          std::span<const Estimate> estimates);

}  // namespace qtk::trace
