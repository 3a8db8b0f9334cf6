// Random samples of all sites at once, in rounds over the batches, until enough are drawn.
#pragma once

#include "trace/moments.hpp"

#include <qtk/api/estimator.hpp>

#include <ATen/core/Tensor.h>

#include <functional>
#include <string>
#include <vector>

namespace qtk::trace {

struct Rounds {
  int64_t num_query = 0;    // samples per batch, at most
  int64_t per_unit = 1;     // of them in one WorkUnit
  double target_error = 0;  // median relative standard error at which it ends; 0: all are drawn
  std::string what;         // names units: "queries", "draws"
  int64_t total_units = 0;  // of the estimate, for progress

  /// WorkUnits of all rounds, at most.
  int64_t num_units(int64_t num_batches) const {
    return (num_query + per_unit - 1) / per_unit * num_batches;
  }
};

/// Samples numbered first ... first + count - 1 of a batch: [count, sites] fp64 on the host.
using SampleSource = std::function<at::Tensor(int64_t batch, int64_t first, int64_t count)>;

/// One estimate per site of the probe: the mean over batches of fixed[site][batch] plus the mean of
/// the samples. Finished units are not drawn again.
std::vector<Estimate> estimate_in_rounds(ModelProbe& probe, const Rounds& rounds,
                                         const std::vector<std::vector<double>>& fixed,
                                         const SampleSource& samples);

}  // namespace qtk::trace
