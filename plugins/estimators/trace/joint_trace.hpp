// Traces of the diagonal blocks of one symmetric matrix over all sites, from products with the
// whole of it.
//
// Two things keep the noise that blocks give one another small. Blocks are balanced: site i counts
// in units of 1 / c_i, so that one works with C H C, whose blocks are of like size, and divides the
// trace by c_i^2. And what all blocks share is taken out as in Hutch++, by a basis Q over all
// sites:
//
//   trace(H_ii) = trace((P H P)_ii) + 2 trace((H Q Q')_ii) - trace((Q T Q')_ii),  T = Q' H Q
//
// of which only the first term is estimated, as the mean of w_i . (P H P w)_i over random signs w.
//
// Dimension suffixes: K = vectors at once, R = sketch vectors, N = weights of all sites, S = sites.
#pragma once

#include "trace/probing.hpp"

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

namespace qtk::trace {

class JointTrace {
 public:
  /// @param scales   c_i, one per site of the probe, positive
  /// @param purpose  names the random signs
  JointTrace(const RunContext& context, ModelProbe& probe, std::vector<double> scales,
             const HessianOptions& options, std::string purpose);

  /// Makes Q of `num_sketch` vectors over all batches: num_sketch products per batch. Holds R x N
  /// numbers from then on.
  void sketch(int64_t num_sketch);
  bool has_sketch() const { return q_RN_.defined(); }

  /// Per site, the exact part for one batch. R products.
  std::vector<double> within(int64_t batch) const;
  /// Samples of the estimated part for the vectors first ... first + count - 1: [count, S] fp64 on
  /// the host.
  at::Tensor samples(int64_t batch, int64_t first, int64_t count) const;

 private:
  /// C H C of one batch, on [K, N].
  MatrixProduct open(int64_t batch) const;
  at::Tensor signs_KN(const std::string& purpose, int64_t batch, int64_t first,
                      int64_t count) const;
  /// x [K, N] -> the part of every site, [K, out, in], times its scale.
  std::vector<at::Tensor> scaled_parts(const at::Tensor& x_KN) const;
  /// Per site the products of rows: [K, S], fp64 on the device.
  at::Tensor products_by_site(const at::Tensor& x_KN, const at::Tensor& y_KN) const;

  const RunContext& context_;
  ModelProbe& probe_;
  const std::vector<int64_t> sites_;
  const std::vector<double> scales_;
  const HessianOptions options_;
  const std::string purpose_;
  at::Tensor q_RN_;
};

}  // namespace qtk::trace
