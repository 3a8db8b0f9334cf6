#include "train/softmax_rows.hpp"

#include "model/vector_math.hpp"
#include "text/windows.hpp"

#include <qtk/runtime/check.hpp>

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cmath>

namespace qtk::train {
namespace {

using namespace model;

/// A row of 50000 logits lies in the second-level cache, so the passes over it cost little; the
/// exponential is taken once. @returns log of the sum of exponentials
QTK_CPU_CLONES
double softmax_row(float* row, int64_t columns, float scale) {
  const int64_t whole = columns / kLanes * kLanes;
  float top = row[0];
  Floats tops = Floats{} + top;
  for (int64_t i = 0; i < whole; i += kLanes) {
    const Floats next = load<Floats>(row + i);
    tops = next > tops ? next : tops;
  }
  top = largest(tops);
  for (int64_t i = whole; i < columns; ++i) top = row[i] > top ? row[i] : top;
  double total = 0;
  constexpr int64_t kBlock = 64 * kLanes;  // summed in fp32, blocks in fp64
  for (int64_t begin = 0; begin < whole; begin += kBlock) {
    const int64_t end = begin + kBlock < whole ? begin + kBlock : whole;
    Floats sums{};
    for (int64_t i = begin; i < end; i += kLanes) {
      const Floats weight = exponential<Floats>(load<Floats>(row + i) - top);
      store<Floats>(row + i, weight);
      sums += weight;
    }
    total += sum(sums);
  }
  for (int64_t i = whole; i < columns; ++i) total += row[i] = std::exp(row[i] - top);
  const float factor = static_cast<float>(scale / total);
  for (int64_t i = 0; i < whole; i += kLanes)
    store<Floats>(row + i, load<Floats>(row + i) * factor);
  for (int64_t i = whole; i < columns; ++i) row[i] *= factor;
  return top + std::log(total);
}

}  // namespace

void softmax_gradient_rows(at::Tensor& logits, const at::Tensor& targets, double scale,
                           const at::Tensor& nll) {
  QTK_CHECK(logits.is_contiguous() && logits.scalar_type() == at::kFloat, "logits ",
            logits.toString(), " ", logits.sizes());
  const int64_t columns = logits.size(1);
  const auto aims = targets.contiguous();
  float* data = logits.mutable_data_ptr<float>();
  const int64_t* aim = aims.const_data_ptr<int64_t>();
  double* out = nll.mutable_data_ptr<double>();
  at::parallel_for(0, logits.size(0), 1, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      float* row = data + n * columns;
      if (aim[n] == text::kUnscoredTarget) {
        std::fill(row, row + columns, 0.0f);
        out[n] = 0;
        continue;
      }
      const double logit = row[aim[n]];
      out[n] = softmax_row(row, columns, static_cast<float>(scale)) - logit;
      row[aim[n]] -= static_cast<float>(scale);
    }
  });
}

}  // namespace qtk::train
