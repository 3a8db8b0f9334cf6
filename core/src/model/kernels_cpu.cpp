#include "model/kernels_cpu.hpp"

#include "model/vector_math.hpp"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>

namespace qtk::model {
namespace {

// So many elements are worth waking another thread.
constexpr int64_t kElementsPerTask = 16384;

int64_t rows_per_task(int64_t columns) { return std::max<int64_t>(1, kElementsPerTask / columns); }

// Sums of squares need no more than fp32 here: each of 16 lanes adds columns / 16 numbers.
QTK_CPU_CLONES
void rms_norm_range(Rows<const float> x, const float* weight, float eps, int64_t begin, int64_t end,
                    int64_t columns, Rows<float> y) {
  const int64_t whole = columns / kLanes * kLanes, rest = columns - whole;
  for (int64_t row = begin; row < end; ++row) {
    const float* in = x.data + row * x.stride;
    float* out = y.data + row * y.stride;
    Floats squares{};
    for (int64_t i = 0; i < whole; i += kLanes)
      squares += load<Floats>(in + i) * load<Floats>(in + i);
    const Floats tail = load_part<Floats>(in + whole, rest);
    squares += tail * tail;
    const float scale = 1.0f / std::sqrt(sum(squares) / static_cast<float>(columns) + eps);
    for (int64_t i = 0; i < whole; i += kLanes)
      store<Floats>(out + i, load<Floats>(weight + i) * (load<Floats>(in + i) * scale));
    store_part<Floats>(out + whole, load_part<Floats>(weight + whole, rest) * (tail * scale), rest);
  }
}

QTK_INLINE Floats silu_times(const Floats& gate, const Floats& up) {
  return gate / (1.0f + exponential<Floats>(-gate)) * up;
}

QTK_CPU_CLONES
void silu_times_range(Rows<const float> gate, Rows<const float> up, int64_t begin, int64_t end,
                      int64_t columns, Rows<float> y) {
  const int64_t whole = columns / kLanes * kLanes, rest = columns - whole;
  for (int64_t row = begin; row < end; ++row) {
    const float* g = gate.data + row * gate.stride;
    const float* u = up.data + row * up.stride;
    float* out = y.data + row * y.stride;
    for (int64_t i = 0; i < whole; i += kLanes)
      store<Floats>(out + i, silu_times(load<Floats>(g + i), load<Floats>(u + i)));
    store_part<Floats>(
        out + whole,
        silu_times(load_part<Floats>(g + whole, rest), load_part<Floats>(u + whole, rest)), rest);
  }
}

}  // namespace

void rms_norm_rows(Rows<const float> x, const float* weight, float eps, int64_t rows,
                   int64_t columns, Rows<float> y) {
  at::parallel_for(0, rows, rows_per_task(columns), [&](int64_t begin, int64_t end) {
    rms_norm_range(x, weight, eps, begin, end, columns, y);
  });
}

void silu_times_rows(Rows<const float> gate, Rows<const float> up, int64_t rows, int64_t columns,
                     Rows<float> y) {
  at::parallel_for(0, rows, rows_per_task(columns), [&](int64_t begin, int64_t end) {
    silu_times_range(gate, up, begin, end, columns, y);
  });
}

}  // namespace qtk::model
