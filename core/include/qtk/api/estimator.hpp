// Estimators measure how much the loss cares about each site.
#pragma once

#include <qtk/api/linear_site.hpp>
#include <qtk/api/sensitivity.hpp>
#include <qtk/runtime/run_context.hpp>

#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace qtk {

/// The model as a function of its sites, given by core. Batches are calibration batches, the loss
/// is the mean next-token cross-entropy with shifted targets over all positions. Not thread-safe.
class QTK_API ModelProbe {
 public:
  virtual ~ModelProbe();

  virtual std::span<const LinearSite> sites() const = 0;
  virtual int64_t num_batches() const = 0;
  /// The dense weight of a site, [out, in] fp32. Not to be written.
  virtual at::Tensor weight(int64_t site) const = 0;
  /// Loss of one batch; with `replacement` [out, in] in place of the weight of `site` if site >= 0.
  virtual double loss(int64_t batch, int64_t site = -1, const at::Tensor& replacement = {}) = 0;
  /// Gradients of the loss of one batch for the sites asked, each [out, in] fp32, from one backward
  /// pass.
  virtual std::vector<at::Tensor> gradients(int64_t batch, std::span<const int64_t> sites) = 0;
  /// Products of the Hessian's block over `sites` (diagonal and cross blocks) with each probe; a
  /// probe has one tensor [out, in] per site. The gradient's graph is built once per batch.
  virtual std::vector<std::vector<at::Tensor>> hvp(
      int64_t batch, std::span<const int64_t> sites,
      std::span<const std::vector<at::Tensor>> probes) = 0;
  /// An entry kept from an interrupted run, and the way to keep one: estimators are resumable per
  /// site.
  virtual std::optional<SensitivityEntry> journal(int64_t site,
                                                  const SensitivityEntry* finished = nullptr) = 0;
};

class QTK_API Estimator {
 public:
  virtual ~Estimator();
  virtual SensitivityTable estimate(ModelProbe& probe) = 0;
};

}  // namespace qtk
