#include "model/token_statistics.hpp"

#include "model/vector_math.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace qtk::model {
namespace {

/// Pointers into a tile and into the statistics of its tokens.
struct Tile {
  const float* logits;
  const float* other;  // null: nothing is compared
  int64_t logits_stride, other_stride;
  int64_t columns, first_column;
  const int64_t* targets;
  float* maximum;
  double* sum;
  int64_t* argmax;
  float* target;
  double* gap;
};

QTK_INLINE float largest_of(const float* row, int64_t count) {
  const int64_t whole = count / kLanes * kLanes;
  Floats top = Floats{} - std::numeric_limits<float>::infinity();
  for (int64_t i = 0; i < whole; i += kLanes) {
    const Floats next = load<Floats>(row + i);
    top = next > top ? next : top;
  }
  float result = largest(top);
  for (int64_t i = whole; i < count; ++i) result = row[i] > result ? row[i] : result;
  return result;
}

struct Sums {
  float weights, gaps;
};

/// Sums of exp(row - maximum), and of that times (row - other). A few lanes of fp32 over one tile,
/// fp64 beyond it.
QTK_INLINE Sums sums_of(const float* row, const float* other, float maximum, int64_t count) {
  const int64_t whole = count / kLanes * kLanes, rest = count - whole;
  Floats weights{}, gaps{};
  for (int64_t i = 0; i < whole; i += kLanes) {
    const Floats logits = load<Floats>(row + i);
    const Floats weight = exponential<Floats>(logits - maximum);
    weights += weight;
    if (other) gaps += weight * (logits - load<Floats>(other + i));
  }
  if (rest > 0) {
    Floats last = Floats{} - std::numeric_limits<float>::infinity();
    std::memcpy(&last, row + whole, static_cast<size_t>(rest) * sizeof(float));
    Floats weight = exponential<Floats>(last - maximum);
    for (int64_t i = rest; i < kLanes; ++i) weight[i] = 0, last[i] = 0;
    weights += weight;
    if (other) gaps += weight * (last - load_part<Floats>(other + whole, rest));
  }
  return {sum(weights), sum(gaps)};
}

QTK_CPU_CLONES
void absorb_rows(const Tile& tile, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) {
    const float* row = tile.logits + i * tile.logits_stride;
    const float* other = tile.other ? tile.other + i * tile.other_stride : nullptr;
    const float top = largest_of(row, tile.columns), before = tile.maximum[i];
    if (top > before) {
      int64_t place = 0;
      while (row[place] != top) ++place;
      const double factor = std::exp(static_cast<double>(before) - static_cast<double>(top));
      tile.maximum[i] = top;
      tile.argmax[i] = tile.first_column + place;
      tile.sum[i] *= factor;
      if (other) tile.gap[i] *= factor;
    }
    const Sums sums = sums_of(row, other, tile.maximum[i], tile.columns);
    tile.sum[i] += sums.weights;
    if (other) tile.gap[i] += sums.gaps;
    const int64_t target = tile.targets[i] - tile.first_column;
    if (target >= 0 && target < tile.columns) tile.target[i] = row[target];
  }
}

bool is_plain(const at::Tensor& logits) {
  return !logits.defined() ||
         (logits.device().is_cpu() && logits.scalar_type() == at::kFloat && logits.stride(1) == 1);
}

}  // namespace

TokenStatistics TokenStatistics::make(int64_t tokens, c10::Device device, bool has_gap) {
  const auto options = at::TensorOptions().device(device);
  TokenStatistics made{.maximum = at::full({tokens}, -std::numeric_limits<float>::infinity(),
                                           options.dtype(at::kFloat)),
                       .sum = at::zeros({tokens}, options.dtype(at::kDouble)),
                       .argmax = at::zeros({tokens}, options.dtype(at::kLong)),
                       .target = at::zeros({tokens}, options.dtype(at::kFloat))};
  if (has_gap) made.gap = at::zeros({tokens}, options.dtype(at::kDouble));
  return made;
}

TokenStatistics TokenStatistics::rows(int64_t first, int64_t count) const {
  const auto part = [&](const at::Tensor& all) {
    return all.defined() ? all.narrow(0, first, count) : all;
  };
  return {part(maximum), part(sum), part(argmax), part(target), part(gap)};
}

at::Tensor TokenStatistics::log_sum_exp() const { return sum.log() + maximum; }

void absorb_tile(const at::Tensor& logits, const at::Tensor& other, int64_t first_column,
                 const at::Tensor& targets, TokenStatistics& statistics) {
  if (!is_plain(logits) || !is_plain(other) || !targets.is_contiguous())
    return absorb_tile_ref(logits, other, first_column, targets, statistics);
  const bool compares = other.defined();
  const Tile tile{.logits = logits.const_data_ptr<float>(),
                  .other = compares ? other.const_data_ptr<float>() : nullptr,
                  .logits_stride = logits.stride(0),
                  .other_stride = compares ? other.stride(0) : 0,
                  .columns = logits.size(1),
                  .first_column = first_column,
                  .targets = targets.const_data_ptr<int64_t>(),
                  .maximum = statistics.maximum.mutable_data_ptr<float>(),
                  .sum = statistics.sum.mutable_data_ptr<double>(),
                  .argmax = statistics.argmax.mutable_data_ptr<int64_t>(),
                  .target = statistics.target.mutable_data_ptr<float>(),
                  .gap = compares ? statistics.gap.mutable_data_ptr<double>() : nullptr};
  at::parallel_for(0, logits.size(0), /*grain_size=*/std::max<int64_t>(1, 16384 / tile.columns),
                   [&](int64_t begin, int64_t end) { absorb_rows(tile, begin, end); });
}

void absorb_tile_ref(const at::Tensor& logits, const at::Tensor& other, int64_t first_column,
                     const at::Tensor& targets, TokenStatistics& statistics) {
  const auto wide = logits.to(at::kFloat);
  const auto [top, place] = wide.max(1);
  const auto is_higher = top > statistics.maximum;
  const auto maximum = at::where(is_higher, top, statistics.maximum);
  const auto factor = (statistics.maximum.to(at::kDouble) - maximum.to(at::kDouble)).exp();
  const auto weights = (wide - maximum.unsqueeze(1)).exp();
  statistics.argmax.copy_(at::where(is_higher, place + first_column, statistics.argmax));
  statistics.maximum.copy_(maximum);
  statistics.sum.mul_(factor).add_(weights.sum(1, false, at::kDouble));
  if (other.defined())
    statistics.gap.mul_(factor).add_(
        (weights * (wide - other.to(at::kFloat))).sum(1, false, at::kDouble));
  const auto local = targets - first_column;
  const auto is_here = (local >= 0).logical_and(local < wide.size(1));
  const auto picked = wide.gather(1, local.clamp(0, wide.size(1) - 1).unsqueeze(1)).squeeze(1);
  statistics.target.copy_(at::where(is_here, picked, statistics.target));
}

}  // namespace qtk::model
