// The line alpha + beta x bytes through measured times.
#pragma once

#include <span>

namespace qtk::dist {

struct LineSample {
  double bytes = 0, seconds = 0;
};

struct LineFit {
  double seconds = 0;           // alpha, at least 0
  double seconds_per_byte = 0;  // beta, at least 0
  double largest_error = 0;     // relative deviation of a sample
};

/// Least squares of relative deviations, so that small messages count as much as large ones.
/// @param samples  at least two different sizes, all times above 0
LineFit fit_line(std::span<const LineSample> samples);

}  // namespace qtk::dist
