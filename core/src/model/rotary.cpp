#include "model/rotary.hpp"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <numbers>

namespace qtk::model {
namespace {

// Every operation is in fp32, in the order of transformers: at position 8000 another rounding of a
// frequency already shows in the fourth digit of the angle.
at::Tensor plain_frequencies(const DecoderConfig& config) {
  const int64_t dim = config.rotary_dim();
  const auto exponents = at::arange(0, dim, 2, at::kFloat) / static_cast<double>(dim);
  return 1.0 / at::pow(config.rope_theta, exponents);
}

/// Llama-3.1: long waves are slowed by `factor`, short ones kept, those between blended.
at::Tensor llama3_frequencies(const at::Tensor& plain, const Llama3RopeScaling& scaling) {
  const auto original = static_cast<double>(scaling.original_max_position);
  const auto wavelength = 2 * std::numbers::pi / plain;
  const auto slowed = plain / scaling.factor;
  const auto smooth = (original / wavelength - scaling.low_freq_factor) /
                      (scaling.high_freq_factor - scaling.low_freq_factor);
  const auto blended = (1 - smooth) * slowed + smooth * plain;
  const auto is_long = wavelength > original / scaling.low_freq_factor;
  const auto is_short = wavelength < original / scaling.high_freq_factor;
  return at::where(is_long, slowed, at::where(is_short, plain, blended));
}

}  // namespace

Rotary::Rotary(const DecoderConfig& config, c10::Device device) {
  auto frequencies = plain_frequencies(config);
  if (config.llama3_rope) frequencies = llama3_frequencies(frequencies, *config.llama3_rope);
  frequencies_ = (frequencies / config.rope_linear_factor).to(device);
}

RotaryTable Rotary::table(int64_t positions) {
  const int64_t have = table_.cosines.defined() ? table_.cosines.size(0) : 0;
  if (positions > have) {
    // Kept for later calls, which may run under autograd.
    const c10::InferenceMode normal(false);
    const c10::NoGradGuard no_grad;
    const int64_t size = std::max(positions, 2 * have);
    const auto steps = at::arange(size, frequencies_.options());
    const auto angles = steps.unsqueeze(1) * frequencies_;
    table_ = {angles.cos(), angles.sin()};
  }
  return {table_.cosines.narrow(0, 0, positions), table_.sines.narrow(0, 0, positions)};
}

at::Tensor rotate_ref(const at::Tensor& x, const RotaryTable& table) {
  const int64_t half = table.cosines.size(1), head_dim = x.size(-1);
  const auto cosines = table.cosines.to(x.scalar_type()).unsqueeze(1);
  const auto sines = table.sines.to(x.scalar_type()).unsqueeze(1);
  const auto low = x.narrow(-1, 0, half), high = x.narrow(-1, half, half);
  const auto rest = x.narrow(-1, 2 * half, head_dim - 2 * half);
  return at::cat({low * cosines - high * sines, high * cosines + low * sines, rest}, -1);
}

}  // namespace qtk::model
