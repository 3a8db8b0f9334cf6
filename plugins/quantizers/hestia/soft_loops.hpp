// The inner loops behind hestia_cpu.hpp: a run of weights of one group.
#pragma once

#include "soft_codebook.hpp"

#include <cstdint>

namespace qtk::hestia {

constexpr int64_t kMostLevels = 256;

/// What a run of weights has in common.
template <class T>
struct LoopTerms {
  const T* levels = nullptr;  // num_levels, ascending
  int64_t num_levels = 0;
  T inverse_temperature = 0;
  T inverse_scale = 0;  // soft forms
  T scale = 0;          // that divides, in hard forms
  T out_scale = 0;      // that multiplies the code
  T pressure = 1;
  bool is_ternary = false;
  bool is_half_to_even = false;  // ternary only
};

/// sum |w|, in the order of the weights in 16 lanes.
double absolute_sum(const float* w, int64_t n);
double absolute_sum(const double* w, int64_t n);

/// mu and f' of n <= kRun weights; `slope` may be null.
constexpr int64_t kRun = 256;
void soft_run(const LoopTerms<float>& terms, const float* w, int64_t n, float* mean, float* slope);
void soft_run(const LoopTerms<double>& terms, const double* w, int64_t n, double* mean,
              double* slope);

/// Index of the nearest code.
void code_run(const LoopTerms<float>& terms, const float* w, int64_t n, uint8_t* code);
void code_run(const LoopTerms<double>& terms, const double* w, int64_t n, uint8_t* code);

/// out = w + pressure (value - w), exactly value at pressure 1.
void mix_run(float pressure, const float* w, const float* value, float scale, int64_t n,
             float* out);
void mix_run(double pressure, const double* w, const double* value, double scale, int64_t n,
             double* out);

}  // namespace qtk::hestia
