#include "allocation.hpp"

#include <qtk/runtime/error.hpp>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <boundary_codec/vector_clones.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>

namespace qtk::tah {

namespace {

constexpr int64_t kElementsPerTask = 32768;

constexpr int64_t kLanes = 8;
// GCC notes that passing such vectors between functions depends on the instruction set; nothing
// here is ever a call.
#pragma GCC diagnostic ignored "-Wpsabi"
typedef float Floats __attribute__((vector_size(kLanes * sizeof(float))));
typedef int32_t Integers __attribute__((vector_size(kLanes * sizeof(int32_t))));

/// The first `count` values, the rest 0.
__attribute__((always_inline)) inline Floats load(const float* from, int64_t count) {
  Floats values{};
  std::memcpy(&values, from, static_cast<size_t>(count) * sizeof(float));
  return values;
}

/// Natural logarithms of positive normal numbers to about an ulp; finite for 0 and subnormals.
__attribute__((always_inline)) inline Floats logarithm(const Floats& of) {
  constexpr float kLn2 = 0.69314718F, kRoot = 1.41421356F;
  Integers bits;
  std::memcpy(&bits, &of, sizeof bits);
  Integers exponent = (bits >> 23) - 127;
  const Integers mantissa_bits = (bits & 0x007fffff) | 0x3f800000;
  Floats mantissa;  // [1, 2)
  std::memcpy(&mantissa, &mantissa_bits, sizeof mantissa);
  const Integers is_upper = mantissa > kRoot;  // -1 where it is
  exponent -= is_upper;
  mantissa = is_upper ? mantissa * 0.5F : mantissa;  // [1/root, root]
  // ln m = 2 artanh((m - 1) / (m + 1))
  const Floats t = (mantissa - 1.0F) / (mantissa + 1.0F), t2 = t * t;
  const Floats series =
      t * (2.0F + t2 * (0.66666667F + t2 * (0.4F + t2 * (0.28571429F + t2 * 0.22222222F))));
  return __builtin_convertvector(exponent, Floats) * kLn2 + series;
}

__attribute__((always_inline)) inline float sum_of(const Floats& v) {
  return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));
}

/// H = ln A - (sum |x| ln |x|) / A with A = sum |x|; sums of at most 256 values in f32, beyond in
/// f64.
QTK_VECTOR_CLONES
float entropy_of(const float* x, int64_t n) {
  constexpr int64_t kBlock = 256;
  double sum = 0, weighted = 0;
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t end = std::min(n, begin + kBlock);
    Floats block_sum{}, block_weighted{};
    for (int64_t i = begin; i < end; i += kLanes) {
      const Floats values = end - i >= kLanes ? load(x + i, kLanes) : load(x + i, end - i);
      const Floats magnitude = values < 0 ? -values : values;
      block_sum += magnitude;
      block_weighted += magnitude * logarithm(magnitude);
    }
    sum += sum_of(block_sum);
    weighted += sum_of(block_weighted);
  }
  return sum > 0 ? static_cast<float>(std::log(sum) - weighted / sum) : 0.0F;
}

}  // namespace

at::Tensor entropy(const at::Tensor& x) {
  const at::Tensor values = x.contiguous();
  at::Tensor result = at::empty({x.size(0), x.size(1)}, at::kFloat);
  const int64_t n = x.size(2);
  const float* from = values.const_data_ptr<float>();
  float* to = result.mutable_data_ptr<float>();
  at::parallel_for(0, result.numel(), std::max<int64_t>(1, kElementsPerTask / n),
                   [&](int64_t begin, int64_t end) {
                     for (; begin < end; ++begin) to[begin] = entropy_of(from + begin * n, n);
                   });
  return result;
}

at::Tensor lowest(const at::Tensor& scores, int64_t low_per_row) {
  const auto order = std::get<1>(scores.sort(/*stable=*/true, /*dim=*/-1, /*descending=*/false));
  at::Tensor is_low = at::zeros(scores.sizes(), at::kByte);
  is_low.scatter_(-1, order.narrow(-1, 0, low_per_row), 1);
  return is_low.view(-1);
}

at::Tensor places(const at::Tensor& is_low, const Layout& layout) {
  at::Tensor places = at::empty({layout.units()}, at::kLong);
  const auto* low = is_low.const_data_ptr<uint8_t>();
  auto* place = places.data_ptr<int64_t>();
  int64_t count[2] = {0, 0};  // high, low
  for (int64_t unit = 0; unit < layout.units(); ++unit) place[unit] = count[low[unit]]++;
  if (count[1] != layout.rows * layout.low_per_row)
    throw DataError("a message marks " + std::to_string(count[1]) + " units as low precision, " +
                        "expected " + std::to_string(layout.rows * layout.low_per_row),
                    "both ends need the same options; else the message was damaged on its way");
  return places;
}

}  // namespace qtk::tah
