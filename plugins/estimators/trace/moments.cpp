#include "trace/moments.hpp"

#include <algorithm>
#include <cmath>

namespace qtk::trace {

void Moments::add(double sample) { add({1, sample, sample * sample}); }

void Moments::add(const Moments& other) {
  count += other.count;
  sum += other.sum;
  squares += other.squares;
}

double Moments::mean() const { return count > 0 ? sum / count : 0; }

double Moments::variance() const {
  if (count < 2) return 0;
  return std::max(0.0, (squares - sum * sum / count) / (count - 1));
}

bool Estimate::reaches(double target) const { return standard_error <= target * std::abs(value); }

Estimate mean_of_batches(std::span<const Moments> batches, std::span<const double> fixed) {
  Moments of_batches;
  double variance = 0;
  for (size_t b = 0; b < batches.size(); ++b) {
    of_batches.add((fixed.empty() ? 0 : fixed[b]) + batches[b].mean());
    if (batches[b].count > 0) variance += batches[b].variance() / batches[b].count;
  }
  const auto count = static_cast<double>(batches.size());
  return {.value = of_batches.mean(),
          .standard_error = std::sqrt(variance) / count,
          .sampling_error = std::sqrt(of_batches.variance() / count)};
}

}  // namespace qtk::trace
