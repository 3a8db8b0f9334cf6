// Trace of a symmetric matrix that is known only by its products with vectors: Hutch++ (Meyer,
// Musco, Musco and Woodruff, 2021, algorithm 1), and Hutchinson's estimator as its case without a
// sketch.
//
// Dimension suffixes: R = sketch vectors, D = dimension of the matrix.
#pragma once

#include "trace/moments.hpp"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>

namespace qtk::trace {

/// v [D] -> H v [D].
using MatrixVector = std::function<at::Tensor(const at::Tensor& v_D)>;

/// The mean of several matrices.
struct MeanMatrix {
  int64_t dimension = 0;
  int64_t num_batches = 1;
  /// Opening a batch may cost as much as a product.
  std::function<MatrixVector(int64_t batch)> open;
};

/// The probe of this number for this batch, [D] of -1 and +1; called again it gives the same.
using Probes = std::function<at::Tensor(int64_t batch, int64_t index)>;

struct Settings {
  int64_t num_sketch = 10;  // R; 0: Hutchinson's estimator
  int64_t num_query = 20;   // at most, per batch; at least 2, so that an error can be told
  double target_error = 0;  // relative standard error at which queries stop; 0: all are made
};

/// trace(H) = trace(Q' H Q) + trace(P H P), P = I - Q Q'. The first part is exact; the second is
/// the mean of x' H x over x = P w for random w, other ones for every batch, so that the error
/// falls with the number of batches too. Holds about three times R x D numbers.
/// @param sketch  asked for batch 0 only; the same vectors go through all batches
Estimate hutchpp(const MeanMatrix& matrix, const Probes& sketch, const Probes& query,
                 const Settings& settings);

/// Orthonormal rows [R, D] that span the rows of Y [R, D], by a thin QR decomposition.
at::Tensor orthonormal_rows(const at::Tensor& y_RD);

/// x' y, summed in fp64.
double inner_product(const at::Tensor& x, const at::Tensor& y);

}  // namespace qtk::trace
