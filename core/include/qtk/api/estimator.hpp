// Estimators measure how much the loss cares about each site.
#pragma once

#include <qtk/api/linear_site.hpp>
#include <qtk/api/sensitivity.hpp>
#include <qtk/runtime/random.hpp>
#include <qtk/runtime/run_context.hpp>

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace qtk {

/// How a Hessian-vector product is made.
enum class HessianForm {
  kDoubleBackward,    // the gradient is differentiated again; its graph is kept meanwhile
  kFiniteDifferences  // (g(w + e v) - g(w - e v)) / 2e: no second derivatives, no graph
};

struct HessianOptions {
  HessianForm form = HessianForm::kDoubleBackward;
  double relative_step = 1e-2;  // finite differences: e = relative_step * |w| / |v|
  /// K, the most vectors that one call may bring. A GPU does K of a short text in little more time
  /// than one; memory for activations and for the sites' weights grows with K.
  int64_t vectors = 1;
};

struct GradientOptions {
  std::optional<int64_t> sample;  // of this sample of the batch alone
  /// Instead of the text's tokens, tokens drawn with this stream from what the model predicts; the
  /// loss is then the sum over positions over the square root of their number. The mean of g g'
  /// over draws is the Gauss-Newton matrix of the mean loss (Martens, New Insights and Perspectives
  /// on the Natural Gradient Method, arXiv 1412.1193, sections 5 and 9).
  std::optional<RandomStream> labels;
};

/// Products with one Hessian: takes K vectors, gives H times each, both as one tensor [K, out, in]
/// per site; K is that of the options, or less. Keeps what it needs (the gradient's graph) as long
/// as it lives.
using HessianProduct = std::function<std::vector<at::Tensor>(std::span<const at::Tensor> vectors)>;

/// A part of an estimator's work that an interrupted run need not do again.
struct WorkUnit {
  std::string key;    // unique within an estimate: "model.layers.3.mlp.up_proj", "batch 0 round 2"
  int64_t index = 0;  // among the units of this estimate, for progress
  int64_t total = 0;  // an upper bound, 0 if unknown
};

/// The model as a function of the weights of its sites, given by core. The loss of a batch is the
/// mean next-token cross-entropy with shifted targets over all positions of all its samples.
/// Arguments called `site` are positions in sites(). Tensors are in the compute dtype (fp32; fp64
/// where the model is) on the run's device. Not thread-safe.
class QTK_API ModelProbe {
 public:
  virtual ~ModelProbe();

  /// The sites to measure; LinearSite::index counts among all sites of the model.
  virtual std::span<const LinearSite> sites() const = 0;
  /// Number of samples (sequences) of each batch; batches are counted from 0.
  virtual std::span<const int64_t> batch_sizes() const = 0;
  /// The dense weight of a site, [out, in]. Not to be written.
  virtual at::Tensor weight(int64_t site) const = 0;
  /// Loss of one batch; with `replacement` [out, in] in place of the weight of `site` if site >= 0.
  virtual double loss(int64_t batch, int64_t site = -1, const at::Tensor& replacement = {}) = 0;
  /// Gradients of the loss of one batch for the sites asked, each [out, in], from one backward
  /// pass.
  virtual std::vector<at::Tensor> gradients(int64_t batch, std::span<const int64_t> sites,
                                            const GradientOptions& options = {}) = 0;
  /// The Hessian of the loss of one batch with respect to `sites` together: diagonal and cross
  /// blocks. Must not outlive the probe.
  virtual HessianProduct hessian(int64_t batch, std::span<const int64_t> sites,
                                 const HessianOptions& options = {}) = 0;
  /// What `compute` returns, or returned in an interrupted run. Finished units are on disk before
  /// the call returns; a run that is asked to stop stops here.
  virtual std::vector<double> once(const WorkUnit& unit,
                                   const std::function<std::vector<double>()>& compute) = 0;
  /// Does what an interrupted run has done and counted in a finished unit, because its result is
  /// too large to be kept: not counted again. By default: calls `work`.
  virtual void repeat(const std::function<void()>& work);
};

/// Fills quantity and entries, one entry per site that could be measured; core adds the rest.
/// Random vectors are named by their site, so that its value does not depend on the order of sites
/// (nor, unless several are probed with one product, on which others are measured).
class QTK_API Estimator {
 public:
  virtual ~Estimator();
  virtual SensitivityTable estimate(ModelProbe& probe) = 0;
};

}  // namespace qtk
