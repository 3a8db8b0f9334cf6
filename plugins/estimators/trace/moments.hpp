// Means of random samples that come in batches, and how far they may be off.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace qtk::trace {

/// Count, sum and sum of squares of samples.
struct Moments {
  double count = 0, sum = 0, squares = 0;

  void add(double sample);
  void add(const Moments& other);
  /// 0 without samples.
  double mean() const;
  /// Unbiased; 0 for fewer than two samples.
  double variance() const;
};

struct Estimate {
  double value = 0;
  double standard_error = 0;      // from the probes, the batches being given
  double sampling_error = 0;      // from the choice of batches, probes included; 0 for one batch
  bool is_target_missed = false;  // a wanted standard error was not reached

  /// Whether the standard error is at most `target` of the value.
  bool reaches(double target) const;
};

/// Mean over batches of fixed[b] + mean of the samples of batch b. The probes of different batches
/// are independent, so that the variances of the batches' means add up.
/// @param fixed  one per batch, or empty for zeros
Estimate mean_of_batches(std::span<const Moments> batches, std::span<const double> fixed = {});

}  // namespace qtk::trace
