// Trace of a symmetric matrix that is known only by its products with vectors: Hutch++ (Meyer,
// Musco, Musco and Woodruff, 2021, algorithm 1), and Hutchinson's estimator as its case without a
// sketch.
//
// Dimension suffixes: K = vectors at once, R = sketch vectors, D = dimension of the matrix.
#pragma once

#include "trace/moments.hpp"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>

namespace qtk::trace {

/// V [K, D] -> the rows' products with H, [K, D].
using MatrixProduct = std::function<at::Tensor(const at::Tensor& v_KD)>;

/// The mean of several matrices.
struct MeanMatrix {
  int64_t dimension = 0;
  int64_t num_batches = 1;
  int64_t vectors_at_once = 1;  // the largest K
  /// Opening a batch may cost as much as a product.
  std::function<MatrixProduct(int64_t batch)> open;
};

/// The probes first ... first + count - 1 of a batch, [count, D] of -1 and +1; called again it
/// gives the same.
using Probes = std::function<at::Tensor(int64_t batch, int64_t first, int64_t count)>;

struct Settings {
  int64_t num_sketch = 10;  // R; 0: Hutchinson's estimator
  int64_t num_query = 20;   // at most, per batch; at least 2, so that an error can be told
  double target_error = 0;  // relative standard error at which queries stop; 0: all are made
};

/// trace(H) = trace(Q' H Q) + trace(P H P), P = I - Q Q'. The first part is exact; the second is
/// the mean of x' H x over x = P w for random w, other ones for every batch, so that the error
/// falls with the number of batches too. Holds R x D numbers and a few times K x D.
/// @param sketch  asked for batch 0 only; the same vectors go through all batches
Estimate hutchpp(const MeanMatrix& matrix, const Probes& sketch, const Probes& query,
                 const Settings& settings);

/// Makes the rows of Y [R, D] orthonormal in place, by the Gram-Schmidt process done twice; a row
/// that depends on those before it becomes zero. No copies, and on a GPU no waiting.
void orthonormalize_rows(at::Tensor& y_RD);

/// Row by row x' y, summed in fp64: [K] on the tensors' device.
at::Tensor inner_products(const at::Tensor& x, const at::Tensor& y);

}  // namespace qtk::trace
