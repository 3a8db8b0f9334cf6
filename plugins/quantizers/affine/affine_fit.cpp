#include "affine_fit.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

namespace qtk::affine {
namespace {

constexpr double kSmallestScale = 1e-6;  // keeps an all-zero group from dividing by zero

// The range search of ScaleRule::kMse: from the whole range down to 0.4 of it.
constexpr int kSearchSteps = 30;
constexpr double kSmallestShare = 0.4;

double share_at(int step) { return 1 - (1 - kSmallestShare) * step / kSearchSteps; }

struct Range {
  at::Tensor low_RG1;   // at most 0
  at::Tensor high_RG1;  // at least 0

  Range operator*(const at::Tensor& share) const { return {low_RG1 * share, high_RG1 * share}; }
};

Range range_of(const at::Tensor& w_RGK) {
  return {w_RGK.amin(-1, /*keepdim=*/true).clamp_max(0),
          w_RGK.amax(-1, /*keepdim=*/true).clamp_min(0)};
}

struct CodeLimits {
  double smallest, largest;
};

CodeLimits limits_of(const Settings& settings) {
  const double smallest = settings.is_symmetric ? -std::exp2(settings.bits - 1) : 0;
  return {smallest, smallest + std::exp2(settings.bits) - 1};
}

/// Rounds to the stored width, inside its finite range; the result is fp32 again.
at::Tensor as_stored(const at::Tensor& scale, at::ScalarType dtype) {
  constexpr double kLargestHalf = 65504;
  if (dtype == at::kFloat) return scale;
  return (dtype == at::kHalf ? scale.clamp_max(kLargestHalf) : scale).to(dtype).to(at::kFloat);
}

struct ScaleAndZero {
  at::Tensor scale_RG1, zero_RG1;
};

ScaleAndZero parameters_of(const Range& range, const Settings& settings) {
  const CodeLimits limits = limits_of(settings);
  const double steps = limits.largest - limits.smallest;
  const auto stored = [&](const at::Tensor& scale) {
    return as_stored(scale.clamp_min(kSmallestScale), settings.scale_dtype);
  };
  if (settings.is_symmetric) {
    const auto scale = stored(at::maximum(range.low_RG1.neg(), range.high_RG1) / (steps / 2));
    return {scale, at::zeros_like(scale)};
  }
  const auto scale = stored((range.high_RG1 - range.low_RG1) / steps);
  return {scale, (range.low_RG1 / scale).round().neg().clamp(0, limits.largest)};
}

Grid grid_with(const at::Tensor& w_RGK, const ScaleAndZero& p, const Settings& settings) {
  const CodeLimits limits = limits_of(settings);
  return {(w_RGK * p.scale_RG1.reciprocal())
              .round()
              .add(p.zero_RG1)
              .clamp(limits.smallest, limits.largest),
          p.scale_RG1, p.zero_RG1};
}

/// Squared error of one group on one grid, without storing codes. Sixteen partial sums, so that the
/// loop vectorises.
__attribute__((target_clones("default", "avx2", "avx512f"), optimize("O3"))) float group_error(
    const float* w, int64_t count, float scale, float zero, float smallest, float largest) {
  constexpr int64_t kLanes = 16;
  const float reciprocal = 1 / scale;
  std::array<float, kLanes> partial{};
  const auto difference_at = [=](float weight) {
    float code = std::nearbyint(weight * reciprocal) + zero;
    code = code < smallest ? smallest : code;
    code = code > largest ? largest : code;
    return (code - zero) * scale - weight;
  };
  int64_t k = 0;
  for (; k + kLanes <= count; k += kLanes)
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      const float difference = difference_at(w[k + lane]);
      partial[static_cast<size_t>(lane)] += difference * difference;
    }
  float error = 0;
  for (; k < count; ++k) error += difference_at(w[k]) * difference_at(w[k]);
  for (const float part : partial) error += part;
  return error;
}

/// The share of its range that each group should cover, [R, G, 1], in one pass over the weights.
at::Tensor best_shares_cpu(const at::Tensor& w_RGK, const Range& whole, const Settings& settings) {
  std::vector<ScaleAndZero> candidates;
  for (int step = 0; step <= kSearchSteps; ++step)
    candidates.push_back(
        parameters_of(whole * at::scalar_tensor(share_at(step), at::kFloat), settings));
  const CodeLimits limits = limits_of(settings);
  const int64_t size = w_RGK.size(-1);
  auto shares = at::empty(whole.low_RG1.sizes(), at::kFloat);
  const float* weights = w_RGK.const_data_ptr<float>();
  float* best = shares.data_ptr<float>();
  at::parallel_for(
      0, shares.numel(), std::max<int64_t>(1, 4096 / size), [&](int64_t begin, int64_t end) {
        for (int64_t g = begin; g < end; ++g) {
          float least = std::numeric_limits<float>::infinity();
          for (int step = 0; step <= kSearchSteps; ++step) {
            const auto& candidate = candidates[static_cast<size_t>(step)];
            const float error = group_error(
                weights + g * size, size, candidate.scale_RG1.const_data_ptr<float>()[g],
                candidate.zero_RG1.const_data_ptr<float>()[g], static_cast<float>(limits.smallest),
                static_cast<float>(limits.largest));
            if (error >= least) continue;
            least = error;
            best[g] = static_cast<float>(share_at(step));
          }
        }
      });
  return shares;
}

}  // namespace

Grid fit_grid(const at::Tensor& w_RGK, const Settings& settings) {
  const auto weights = w_RGK.contiguous();
  const Range whole = range_of(weights);
  if (settings.scale_rule == ScaleRule::kMinMax)
    return grid_with(weights, parameters_of(whole, settings), settings);
  if (!weights.is_cpu()) return fit_least_error_ref(weights, settings);
  return grid_with(weights,
                   parameters_of(whole * best_shares_cpu(weights, whole, settings), settings),
                   settings);
}

Grid fit_least_error_ref(const at::Tensor& w_RGK, const Settings& settings) {
  const Range whole = range_of(w_RGK);
  Grid best;
  at::Tensor best_error;
  for (int step = 0; step <= kSearchSteps; ++step) {
    const auto share = at::scalar_tensor(share_at(step), w_RGK.options());
    const Grid candidate = grid_with(w_RGK, parameters_of(whole * share, settings), settings);
    const auto decoded = (candidate.codes_RGK - candidate.zero_RG1) * candidate.scale_RG1;
    const auto error = (decoded - w_RGK).square().sum(-1, /*keepdim=*/true);
    if (step == 0) {
      best = candidate, best_error = error;
      continue;
    }
    const auto is_better = error < best_error;
    best = {at::where(is_better, candidate.codes_RGK, best.codes_RGK),
            at::where(is_better, candidate.scale_RG1, best.scale_RG1),
            at::where(is_better, candidate.zero_RG1, best.zero_RG1)};
    best_error = at::minimum(error, best_error);
  }
  return best;
}

}  // namespace qtk::affine
