#include "report/axis.hpp"

#include "report/number.hpp"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstdint>
#include <iterator>

namespace qtk::report {
namespace {

constexpr double kLogFromRatio = 3;

/// The step of 1, 2 or 5 times a power of ten that cuts `span` into at most about `num_ticks`
/// parts.
double round_step(double span, int num_ticks) {
  const double rough = span / std::max(num_ticks, 1);
  const double power = std::pow(10, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= rough * (1 - 1e-9)) return factor * power;
  }
  return 10 * power;
}

int exponent_of(double value) { return static_cast<int>(std::floor(std::log10(value) + 1e-9)); }

std::vector<double> log_ticks(double low, double high, const std::vector<double>& mantissas) {
  std::vector<double> ticks;
  const int first = static_cast<int>(std::floor(std::log10(low)));
  const int last = static_cast<int>(std::ceil(std::log10(high)));
  for (int power = first; power <= last; ++power) {
    for (const double mantissa : mantissas) {
      const double tick = mantissa * std::pow(10, power);
      if (tick >= low && tick <= high) ticks.push_back(tick);
    }
  }
  return ticks;
}

}  // namespace

Axis Axis::from_zero(double largest, int num_ticks) {
  if (!std::isfinite(largest) || largest < 1e-300) largest = 1;
  largest = std::min(largest, 1e300);  // room for rounding up
  Axis axis;
  const double step = round_step(largest, num_ticks);
  axis.set_linear(0, step * std::ceil(largest / step * (1 - 1e-9)), num_ticks);
  return axis;
}

Axis Axis::around(const std::vector<double>& values, AxisLayout layout) {
  std::vector<double> finite;
  std::copy_if(values.begin(), values.end(), std::back_inserter(finite),
               [](double v) { return std::isfinite(v); });
  Axis axis;
  if (finite.empty()) {
    axis.set_linear(0, 1, layout.num_ticks);
    return axis;
  }
  const auto [least, most] = std::minmax_element(finite.begin(), finite.end());
  if (*least >= DBL_MIN && *most / *least >= kLogFromRatio) {
    const double air = std::pow(*most / *least, layout.air);
    axis.set_log(std::max(*least / air, DBL_MIN), std::min(*most * air, DBL_MAX), layout.num_ticks);
    return axis;
  }
  // A span of rounding errors would ask for ticks that no label tells apart.
  const double span = *most - *least;
  const double air = std::max({layout.air * span, 1e-3 * std::abs(*most), 1e-12});
  axis.set_linear(*least >= 0 ? std::max(0.0, *least - air) : *least - air, *most + air,
                  layout.num_ticks);
  return axis;
}

Axis Axis::linear(double low, double high, int num_ticks) {
  const double air = high > low ? 0 : std::max(1e-3 * std::abs(low), 1e-12);
  Axis axis;
  axis.set_linear(low - air, std::max(high, low) + air, num_ticks);
  return axis;
}

void Axis::set_linear(double low, double high, int num_ticks) {
  low_ = low;
  high_ = high;
  const double step = round_step(high - low, num_ticks);
  const int step_exponent = exponent_of(step);
  decimals_ = std::max(0, -step_exponent);
  digits_ = exponent_of(std::max(std::abs(low), std::abs(high))) - step_exponent + 1;
  const double first = std::ceil(low / step - 1e-9);
  for (int i = 0; i < 100 && (first + i) * step <= high + 1e-9 * step; ++i)
    ticks_.push_back((first + i) * step);
}

void Axis::set_log(double low, double high, int num_ticks) {
  low_ = low;
  high_ = high;
  is_log_ = true;
  static const std::vector<double> kChoices[] = {
      {1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9}, {1, 1.5, 2, 3, 5, 7}, {1, 2, 3, 5}, {1, 2, 5}, {1, 3}, {1}};
  for (const auto& mantissas : kChoices) {
    ticks_ = log_ticks(low, high, mantissas);
    if (ticks_.size() <= static_cast<size_t>(num_ticks)) return;
  }
  const size_t stride =
      ticks_.size() / std::max(num_ticks, 1) + 1;  // many decades: every second, third, ... power
  std::vector<double> sparse;
  for (size_t i = 0; i < ticks_.size(); i += stride) sparse.push_back(ticks_[i]);
  ticks_ = std::move(sparse);
}

double Axis::fraction(double value) const {
  if (is_log_) return (std::log(value) - std::log(low_)) / (std::log(high_) - std::log(low_));
  return (value - low_) / (high_ - low_);
}

std::string Axis::label(double tick) const {
  if (is_log_) {
    if (tick > 0.99e-4 && tick < 1e6) return trimmed(tick, 5);
    const double mantissa = tick / std::pow(10, exponent_of(tick));
    return significant(tick, std::abs(mantissa - std::round(mantissa)) < 1e-6 ? 1 : 2);
  }
  const bool is_plain = decimals_ <= 6 && std::abs(tick) < 1e6;
  return is_plain ? fixed(tick, decimals_) : significant(tick, std::max(digits_, 1));
}

int integer_step(int span, int num_ticks) {
  for (int64_t power = 1;; power *= 10) {
    for (const int64_t factor : {1, 2, 5}) {
      const int64_t step = factor * power;
      if (span / step + 1 <= std::max(num_ticks, 1) || step > span)
        return static_cast<int>(std::min<int64_t>(step, INT32_MAX));
    }
  }
}

}  // namespace qtk::report
