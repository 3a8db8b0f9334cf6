#include "trace/hutchpp.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <span>

namespace qtk::trace {
namespace {

constexpr int64_t kFirstQueries = 4;  // before the error is looked at for the first time

/// Calls visit(first, count) until all of [begin, end) was seen.
template <class Visit>
void in_parts(int64_t begin, int64_t end, int64_t largest, Visit&& visit) {
  for (int64_t first = begin; first < end; first += largest)
    visit(first, std::min(largest, end - first));
}

/// Y = H S, row by row.
at::Tensor sketched(const MeanMatrix& matrix, const Probes& sketch, int64_t num_sketch) {
  at::Tensor y_RD;
  for (int64_t b = 0; b < matrix.num_batches; ++b) {
    const auto product = matrix.open(b);
    in_parts(0, num_sketch, matrix.vectors_at_once, [&](int64_t first, int64_t count) {
      const auto rows_KD = product(sketch(0, first, count));
      if (!y_RD.defined()) y_RD = at::zeros({num_sketch, rows_KD.size(1)}, rows_KD.options());
      y_RD.narrow(0, first, count).add_(rows_KD);
    });
  }
  return y_RD.div_(static_cast<double>(matrix.num_batches));
}

/// P w = w - Q'(Q w) for every row w.
at::Tensor projected(at::Tensor w_KD, const at::Tensor& q_RD) {
  return q_RD.defined() ? w_KD.addmm_(at::mm(w_KD, q_RD.t()), q_RD, /*beta=*/1, /*alpha=*/-1)
                        : w_KD;
}

/// trace(Q' H Q), on the device.
at::Tensor trace_within(const at::Tensor& q_RD, const MatrixProduct& product, int64_t at_once) {
  auto trace = at::zeros({}, q_RD.options().dtype(at::kDouble));
  in_parts(0, q_RD.size(0), at_once, [&](int64_t first, int64_t count) {
    const auto rows_KD = q_RD.narrow(0, first, count);
    trace.add_(inner_products(rows_KD, product(rows_KD)).sum());
  });
  return trace;
}

/// What has been drawn so far. Every batch has a part that is exact and samples of the rest.
class Drawn {
 public:
  Drawn(const MeanMatrix& matrix, const Probes& query, at::Tensor q_RD)
      : matrix_(matrix),
        query_(query),
        q_RD_(std::move(q_RD)),
        within_(static_cast<size_t>(matrix.num_batches), 0),
        outside_(within_.size()) {}

  /// Draws the queries of [begin, end) for every batch. Numbers leave the device once a batch.
  void draw(int64_t begin, int64_t end, bool with_exact_part) {
    for (size_t b = 0; b < within_.size(); ++b) {
      const auto product = matrix_.open(static_cast<int64_t>(b));
      at::Tensor exact;
      if (with_exact_part && q_RD_.defined())
        exact = trace_within(q_RD_, product, matrix_.vectors_at_once);
      std::vector<at::Tensor> samples;
      in_parts(begin, end, matrix_.vectors_at_once, [&](int64_t first, int64_t count) {
        const auto x_KD = projected(query_(static_cast<int64_t>(b), first, count), q_RD_);
        samples.push_back(inner_products(x_KD, product(x_KD)));
      });
      if (exact.defined()) within_[b] = exact.item<double>();
      if (samples.empty()) continue;
      const auto numbers = at::cat(samples).cpu();
      for (const double sample : std::span(numbers.const_data_ptr<double>(), numbers.numel()))
        outside_[b].add(sample);
    }
  }

  Estimate estimate() const { return mean_of_batches(outside_, within_); }

 private:
  const MeanMatrix& matrix_;
  const Probes& query_;
  const at::Tensor q_RD_;
  std::vector<double> within_;
  std::vector<Moments> outside_;
};

}  // namespace

void orthonormalize_rows(at::Tensor& y_RD) {
  const double tolerance = y_RD.scalar_type() == at::kDouble ? 1e-11 : 1e-5;
  for (int64_t r = 0; r < y_RD.size(0); ++r) {
    auto row_D = y_RD[r];
    const auto before = row_D.norm();
    const auto earlier_rD = y_RD.narrow(0, 0, r);
    for (int repetition = 0; repetition < 2 && r > 0; ++repetition)
      row_D.addmv_(earlier_rD.t(), at::mv(earlier_rD, row_D), /*beta=*/1, /*alpha=*/-1);
    const auto after = row_D.norm();
    const auto is_independent = after > tolerance * before;
    row_D.copy_(at::where(is_independent, row_D / after, at::zeros_like(after)));
  }
}

at::Tensor inner_products(const at::Tensor& x, const at::Tensor& y) {
  return at::mul(x, y).flatten(1).sum({1}, /*keepdim=*/false, at::kDouble);
}

Estimate hutchpp(const MeanMatrix& matrix, const Probes& sketch, const Probes& query,
                 const Settings& settings) {
  const int64_t num_sketch = std::min(settings.num_sketch, matrix.dimension);
  const bool is_complete = num_sketch == matrix.dimension;  // nothing is left outside of Q
  const bool is_adaptive = settings.target_error > 0;
  at::Tensor q_RD;
  if (num_sketch > 0) {
    q_RD = sketched(matrix, sketch, num_sketch);
    orthonormalize_rows(q_RD);
  }
  Drawn drawn(matrix, query, q_RD);
  const int64_t all = is_complete ? 0 : settings.num_query;
  int64_t done = 0, wanted = is_adaptive ? std::min(kFirstQueries, all) : all;
  for (;;) {
    drawn.draw(done, wanted, /*with_exact_part=*/done == 0);
    done = wanted;
    Estimate estimate = drawn.estimate();
    const bool is_enough = !is_adaptive || estimate.reaches(settings.target_error);
    if (is_enough || done == all) {
      estimate.is_target_missed = !is_enough;
      return estimate;
    }
    wanted = std::min(2 * done, all);
  }
}

}  // namespace qtk::trace
