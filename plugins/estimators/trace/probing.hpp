// What estimators share when they probe a model: random signs, products for one site, options, rows
// of the table.
#pragma once

#include "trace/hutchpp.hpp"

#include <qtk/api/estimator.hpp>
#include <qtk/options/option_set.hpp>

#include <numeric>
#include <string>
#include <vector>

namespace qtk::trace {

/// -1 and +1 with equal probability, 64 of a random word; the same on every device.
at::Tensor rademacher(RandomStream stream, at::IntArrayRef shape, const at::TensorOptions& options);

/// Signs for one site, named by it: they depend neither on the order of sites nor on sharding.
/// @param batch, index  as in Probes; index below 2^32
at::Tensor site_signs(const RunContext& context, const std::string& purpose, int64_t batch,
                      int64_t index, const LinearSite& site, const at::Tensor& like);
/// The same as flat probes.
Probes site_probes(const RunContext& context, const std::string& purpose, const LinearSite& site,
                   const at::Tensor& like);

/// The diagonal block of the Hessian that belongs to one site, as a mean over batches.
MeanMatrix site_hessian(ModelProbe& probe, int64_t site, const HessianOptions& options);

std::vector<int64_t> all_sites(const ModelProbe& probe);

/// Options that every estimator with Hessian-vector products has: members `hvp` and `hvp_step`.
template <class Options>
void describe_hvp(OptionSet<Options>& o) {
  o.field("hvp", &Options::hvp)
      .one_of({"double_backward", "differences"})
      .doc(
          "How Hessian-vector products are made; differences need less memory and two backward "
          "passes each.");
  o.field("hvp_step", &Options::hvp_step)
      .range(1e-8, 1)
      .doc("Step of the differences relative to |w| / |v|.");
}
template <class Options>
HessianOptions hessian_options(const Options& options) {
  return {.form = options.hvp == "differences" ? HessianForm::kFiniteDifferences
                                                     : HessianForm::kDoubleBackward,
          .relative_step = options.hvp_step};
}

// An estimate as numbers of a WorkUnit and back.
std::vector<double> to_values(const Estimate& estimate);
Estimate from_values(std::span<const double> values);

/// Flags follow from the estimate: "negative", "not_finite", "target_error_missed".
SensitivityEntry entry_of(const LinearSite& site, const Estimate& estimate);

}  // namespace qtk::trace
