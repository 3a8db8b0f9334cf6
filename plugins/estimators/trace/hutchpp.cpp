#include "trace/hutchpp.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <optional>

namespace qtk::trace {
namespace {

constexpr int64_t kFirstQueries = 4;  // before the error is looked at for the first time

/// Y = H S, row by row.
at::Tensor sketched(const MeanMatrix& matrix, const Probes& sketch, int64_t num_sketch) {
  at::Tensor y_RD;
  for (int64_t b = 0; b < matrix.num_batches; ++b) {
    const auto product = matrix.open(b);
    for (int64_t r = 0; r < num_sketch; ++r) {
      const auto row_D = product(sketch(0, r));
      if (!y_RD.defined()) y_RD = at::zeros({num_sketch, row_D.numel()}, row_D.options());
      y_RD[r].add_(row_D);
    }
  }
  return y_RD.div_(static_cast<double>(matrix.num_batches));
}

/// P w = w - Q'(Q w)
at::Tensor projected(const at::Tensor& w_D, const at::Tensor& q_RD) {
  return q_RD.defined() ? w_D - at::mv(q_RD.t(), at::mv(q_RD, w_D)) : w_D;
}

double trace_within(const at::Tensor& q_RD, const MatrixVector& product) {
  double trace = 0;
  for (int64_t r = 0; r < q_RD.size(0); ++r)
    trace += inner_product(q_RD[r], product(q_RD[r].contiguous()));
  return trace;
}

}  // namespace

at::Tensor orthonormal_rows(const at::Tensor& y_RD) {
  return std::get<0>(at::linalg_qr(y_RD.t(), "reduced")).t().contiguous();
}

double inner_product(const at::Tensor& x, const at::Tensor& y) {
  return at::mul(x, y).sum(at::kDouble).item<double>();
}

Estimate hutchpp(const MeanMatrix& matrix, const Probes& sketch, const Probes& query,
                 const Settings& settings) {
  const int64_t num_sketch = std::min(settings.num_sketch, matrix.dimension);
  const bool is_complete = num_sketch == matrix.dimension;  // nothing is left outside of Q
  const bool is_adaptive = settings.target_error > 0;
  at::Tensor q_RD;
  if (num_sketch > 0) q_RD = orthonormal_rows(sketched(matrix, sketch, num_sketch));

  const auto batches = static_cast<size_t>(matrix.num_batches);
  std::vector<double> within(batches, 0);
  std::vector<Moments> outside(batches);
  const int64_t all = is_complete ? 0 : settings.num_query;
  int64_t done = 0, wanted = is_adaptive ? std::min(kFirstQueries, all) : all;
  for (bool is_first = true;; is_first = false) {
    for (size_t b = 0; b < batches; ++b) {
      const auto product = matrix.open(static_cast<int64_t>(b));
      if (is_first && num_sketch > 0) within[b] = trace_within(q_RD, product);
      for (int64_t k = done; k < wanted; ++k) {
        const auto x_D = projected(query(static_cast<int64_t>(b), k), q_RD);
        outside[b].add(inner_product(x_D, product(x_D)));
      }
    }
    done = wanted;
    Estimate estimate = mean_of_batches(outside, within);
    const bool is_enough = !is_adaptive || estimate.reaches(settings.target_error);
    if (!is_enough && done < all) {
      wanted = std::min(2 * done, all);
      continue;
    }
    estimate.is_target_missed = !is_enough;
    return estimate;
  }
}

}  // namespace qtk::trace
