// Contraction stays off, so that fp32 results do not depend on the processor's vector width.
#include "soft_loops.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#define QTK_HESTIA_CLONES                                     \
  __attribute__((target_clones("default", "avx2", "avx512f"), \
                 optimize("O3", "fp-contract=off", "no-trapping-math", "no-math-errno")))

namespace qtk::hestia {
namespace {

#define QTK_HESTIA_INLINE __attribute__((always_inline)) inline

/// e^x within 2 units of the last place for x <= 80; below -87 it is about 1.6e-38. The usual
/// reduction x = k ln 2 + r and a polynomial in r, without branches.
QTK_HESTIA_INLINE float exponential(float x) {
  x = x < -87.0F ? -87.0F : x;
  const float shifted = x * 1.44269504F + 12582912.0F;  // 1.5 * 2^23: rounds to an integer
  const float k = shifted - 12582912.0F;
  const float r = (x - k * 0.693359375F) + k * 2.12194440e-4F;
  float p = 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  const float value = p * (r * r) + r + 1.0F;
  const int32_t power = (std::bit_cast<int32_t>(shifted) - 0x4b400000 + 127) << 23;
  return value * std::bit_cast<float>(power);
}

QTK_HESTIA_INLINE double exponential(double x) { return std::exp(x); }

template <class T>
constexpr T kLargestExponent = sizeof(T) == 4 ? T(80) : T(600);

/// Ternary codes in closed form, with a = |z|, e4 = exp(-4 a / T), e1 = exp((1 - 2 a) / T) and
/// D = 1 + e4 + e1:
///   mu = sign(z) (1 - e4) / D,   f' = (2 / T) (4 e4 + (1 + e4) e1) / D^2
/// The variance is written without the difference E[c^2] - mu^2, which cancels.
template <class T>
QTK_HESTIA_INLINE void ternary_loop(const LoopTerms<T>& terms, const T* w, int64_t n, T* mean,
                                    T* slope) {
  const T inverse = terms.inverse_temperature, to_z = terms.inverse_scale;
  for (int64_t i = 0; i < n; ++i) {
    const T a = std::abs(w[i] * to_z);
    const T e4 = exponential(-4 * a * inverse);
    const T most = (1 - 2 * a) * inverse;
    const T e1 = exponential(most > kLargestExponent<T> ? kLargestExponent<T> : most);
    const T r = 1 / (1 + e4 + e1);
    mean[i] = std::copysign((1 - e4) * r, w[i]);
    slope[i] = 2 * inverse * (r * (4 * e4 * r + (1 + e4) * (e1 * r)));
  }
}

template <class T>
QTK_HESTIA_INLINE void levels_loop(const LoopTerms<T>& terms, const T* w, int64_t n, T* mean,
                                   T* slope) {
  T least[kRun], total[kRun], first[kRun], second[kRun];
  const T inverse = terms.inverse_temperature, to_z = terms.inverse_scale;
  for (int64_t i = 0; i < n; ++i) least[i] = INFINITY, total[i] = first[i] = second[i] = 0;
  for (int64_t k = 0; k < terms.num_levels; ++k)
    for (int64_t i = 0; i < n; ++i) {
      const T d = w[i] * to_z - terms.levels[k];
      least[i] = d * d < least[i] ? d * d : least[i];
    }
  for (int64_t k = 0; k < terms.num_levels; ++k) {
    const T c = terms.levels[k];
    for (int64_t i = 0; i < n; ++i) {
      const T d = w[i] * to_z - c;
      const T p = exponential((least[i] - d * d) * inverse);
      total[i] += p, first[i] += p * c;
    }
  }
  for (int64_t i = 0; i < n; ++i) mean[i] = first[i] / total[i];
  for (int64_t k = 0; k < terms.num_levels; ++k) {
    const T c = terms.levels[k];
    for (int64_t i = 0; i < n; ++i) {
      const T d = w[i] * to_z - c, e = c - mean[i];
      second[i] += exponential((least[i] - d * d) * inverse) * (e * e);
    }
  }
  for (int64_t i = 0; i < n; ++i) slope[i] = 2 * inverse * (second[i] / total[i]);
}

template <class T>
QTK_HESTIA_INLINE void code_loop(const LoopTerms<T>& terms, const T* w, int64_t n, uint8_t* code) {
  if (terms.is_half_to_even) {  // of -1.5 ... 1.5 only +-0.5 is a tie that matters, and gives 0
    for (int64_t i = 0; i < n; ++i) {
      const T z = w[i] / terms.scale;
      code[i] = static_cast<uint8_t>(1 + (z > T(0.5)) - (z < T(-0.5)));
    }
    return;
  }
  for (int64_t i = 0; i < n; ++i) code[i] = 0;
  for (int64_t k = 1; k < terms.num_levels; ++k) {
    const T middle = T(0.5) * (terms.levels[k - 1] + terms.levels[k]);
    for (int64_t i = 0; i < n; ++i) code[i] += w[i] / terms.scale > middle;
  }
}

template <class T>
QTK_HESTIA_INLINE double absolute_loop(const T* w, int64_t n) {
  double lanes[16] = {};
  int64_t i = 0;
  for (; i + 16 <= n; i += 16)
    for (int64_t k = 0; k < 16; ++k) lanes[k] += std::abs(static_cast<double>(w[i + k]));
  for (; i < n; ++i) lanes[i % 16] += std::abs(static_cast<double>(w[i]));
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

template <class T>
QTK_HESTIA_INLINE void mix_loop(T pressure, const T* w, const T* value, T scale, int64_t n,
                                T* out) {
  if (pressure == 1)
    for (int64_t i = 0; i < n; ++i) out[i] = value[i] * scale;
  else
    for (int64_t i = 0; i < n; ++i) out[i] = w[i] + pressure * (value[i] * scale - w[i]);
}

QTK_HESTIA_CLONES void ternary_run(const LoopTerms<float>& terms, const float* w, int64_t n,
                                   float* mean, float* slope) {
  ternary_loop(terms, w, n, mean, slope);
}

QTK_HESTIA_CLONES void levels_run(const LoopTerms<float>& terms, const float* w, int64_t n,
                                  float* mean, float* slope) {
  levels_loop(terms, w, n, mean, slope);
}

}  // namespace

void soft_run(const LoopTerms<float>& terms, const float* w, int64_t n, float* mean, float* slope) {
  float unused[kRun];
  if (!slope) slope = unused;
  terms.is_ternary ? ternary_run(terms, w, n, mean, slope) : levels_run(terms, w, n, mean, slope);
}

void soft_run(const LoopTerms<double>& terms, const double* w, int64_t n, double* mean,
              double* slope) {
  double unused[kRun];
  if (!slope) slope = unused;
  terms.is_ternary ? ternary_loop(terms, w, n, mean, slope) : levels_loop(terms, w, n, mean, slope);
}

QTK_HESTIA_CLONES double absolute_sum(const float* w, int64_t n) { return absolute_loop(w, n); }
double absolute_sum(const double* w, int64_t n) { return absolute_loop(w, n); }

QTK_HESTIA_CLONES void code_run(const LoopTerms<float>& terms, const float* w, int64_t n,
                                uint8_t* code) {
  code_loop(terms, w, n, code);
}
void code_run(const LoopTerms<double>& terms, const double* w, int64_t n, uint8_t* code) {
  code_loop(terms, w, n, code);
}

QTK_HESTIA_CLONES void mix_run(float pressure, const float* w, const float* value, float scale,
                               int64_t n, float* out) {
  mix_loop(pressure, w, value, scale, n, out);
}
void mix_run(double pressure, const double* w, const double* value, double scale, int64_t n,
             double* out) {
  mix_loop(pressure, w, value, scale, n, out);
}

}  // namespace qtk::hestia
