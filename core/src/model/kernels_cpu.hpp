// Fused elementwise loops for fp32 inference on the CPU. Each has a differentiable form in the
// source that calls it.
#pragma once

#include <cstdint>

namespace qtk::model {

/// Rows of fp32 numbers; a row is contiguous, `stride` floats after the one before it.
template <class Float>
struct Rows {
  Float* data;
  int64_t stride;
};

/// y = x / sqrt(mean(x^2) + eps) * weight, row by row. `y` may be `x`.
void rms_norm_rows(Rows<const float> x, const float* weight, float eps, int64_t rows,
                   int64_t columns, Rows<float> y);

/// y = silu(gate) * up. `y` may be one of them.
void silu_times_rows(Rows<const float> gate, Rows<const float> up, int64_t rows, int64_t columns,
                     Rows<float> y);

}  // namespace qtk::model
