#include "trace_scores.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>

namespace qtk::hestia_anneal {
namespace {

/// The closed form of the soft ternary codebook, for z >= 0.
double soft_ternary(double z, double temperature) {
  const double e4 = std::exp(-4 * z / temperature);
  const double e1 = std::exp(std::min((1 - 2 * z) / temperature, 700.0));
  return (1 - e4) / (1 + e4 + e1);
}

}  // namespace

std::vector<double> trace_scores(std::span<const double> traces, double kappa, double floor) {
  std::vector<double> scores;
  double mean = 0, variance = 0;
  for (const double trace : traces) scores.push_back(std::log(std::max(trace, floor)));
  const double n = static_cast<double>(std::max<size_t>(1, traces.size()));
  for (const double l : scores) mean += l / n;
  for (const double l : scores) variance += (l - mean) * (l - mean) / n;
  const double deviation = std::sqrt(variance) + 1e-8;
  for (double& score : scores) score = 1 / (1 + std::exp(-kappa * (score - mean) / deviation));
  return scores;
}

double distance_to_identity(double temperature) {
  constexpr int kIntervals = 20000;  // Simpson's rule; even in z, so half of the range counts twice
  constexpr double kEnd = 10, kVariance = std::numbers::pi / 2;
  const double step = kEnd / kIntervals;
  double sum = 0;
  for (int i = 0; i <= kIntervals; ++i) {
    const double z = i * step, error = soft_ternary(z, temperature) - z;
    const double weight = i == 0 || i == kIntervals ? 1 : i % 2 == 1 ? 4 : 2;
    sum += weight * error * error * std::exp(-z * z / (2 * kVariance));
  }
  return 2 * sum * step / 3 / std::sqrt(2 * std::numbers::pi * kVariance);
}

double closest_to_identity_temperature() {
  // The error is flat near its least value, so its derivative is brought to zero by bisection: the
  // least value itself could be found to half of the digits only.
  constexpr double kDelta = 1e-4;
  const auto rises = [](double t) {
    return distance_to_identity(t + kDelta) > distance_to_identity(t - kDelta);
  };
  double low = 0.2, high = 0.6;  // rises from 0.36 on, falls before
  for (int i = 0; i < 32; ++i) (rises(0.5 * (low + high)) ? high : low) = 0.5 * (low + high);
  return 0.5 * (low + high);
}

}  // namespace qtk::hestia_anneal
