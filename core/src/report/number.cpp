#include "report/number.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace qtk::report {
namespace {

std::string non_finite(double value) {
  if (std::isnan(value)) return "NaN";
  return value > 0 ? "inf" : "-inf";
}

std::string converted(double value, std::chars_format format, int digits) {
  char buffer[400];  // 309 digits of the largest double, a sign, a point and at most 17 decimals
  const auto end =
      std::to_chars(buffer, buffer + sizeof buffer, value, format, std::min(digits, 17)).ptr;
  return {buffer, end};
}

/// The power of ten of the first digit once `value` is rounded to `digits` significant ones.
int exponent_of(double value, int digits) {
  if (value == 0) return 0;
  const auto text = converted(value, std::chars_format::scientific, digits - 1);
  return std::stoi(text.substr(text.find('e') + 1));
}

}  // namespace

std::string fixed(double value, int digits) {
  if (!std::isfinite(value)) return non_finite(value);
  auto text = converted(value, std::chars_format::fixed, std::max(digits, 0));
  if (text.front() == '-' && text.find_first_not_of("-0.") == std::string::npos) text.erase(0, 1);
  return text;
}

std::string trimmed(double value, int most_digits) {
  auto digits = fixed(value, most_digits);
  if (digits.find('.') == std::string::npos) return digits;
  digits.erase(digits.find_last_not_of('0') + 1);
  if (digits.back() == '.') digits.pop_back();
  return digits;
}

std::string significant(double value, int digits) {
  if (!std::isfinite(value)) return non_finite(value);
  if (value == 0) return "0";
  const int exponent = exponent_of(value, digits);
  if (exponent >= 7 || exponent < -4) {
    const auto text = converted(value, std::chars_format::scientific, digits - 1);
    return text.substr(0, text.find('e') + 1) + std::to_string(exponent);
  }
  return fixed(value, digits - 1 - exponent);
}

std::string exact(double value) {
  if (!std::isfinite(value)) return non_finite(value);
  char buffer[64];
  return {buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr};
}

std::string grouped(int64_t value) {
  auto text = std::to_string(value);
  const int first_digit = value < 0 ? 1 : 0;
  for (int at = static_cast<int>(text.size()) - 3; at > first_digit; at -= 3) text.insert(at, ",");
  return text;
}

std::string measured(double value, double standard_error) {
  if (!std::isfinite(value)) return non_finite(value);
  if (!std::isfinite(standard_error) || standard_error <= 0) return significant(value, 5);
  if (std::abs(value) >= 1e7) return significant(value, 5);
  const int decimals = std::clamp(1 - exponent_of(standard_error, 2), 0, 6);
  return fixed(value, decimals) + " \u00b1 " + fixed(standard_error, decimals);
}

std::string relative_change(double from, double to) {
  const double percent = 100 * (to / from - 1);
  if (!std::isfinite(percent)) return non_finite(percent);
  const auto text = std::abs(percent) < 100 ? fixed(percent, 1) : significant(percent, 3);
  return (text.front() == '-' || text == "0.0" ? text : "+" + text) + " %";
}

std::string duration(double seconds) {
  if (!std::isfinite(seconds)) return non_finite(seconds);
  if (seconds < 1) return fixed(seconds, 2) + " s";
  if (seconds < 59.95) return fixed(seconds, 1) + " s";
  if (seconds > 1e12) return significant(seconds, 3) + " s";
  const auto whole = static_cast<int64_t>(std::llround(seconds));
  if (whole < 3600) return std::to_string(whole / 60) + " min " + std::to_string(whole % 60) + " s";
  const auto minutes = static_cast<int64_t>(std::llround(seconds / 60));
  return std::to_string(minutes / 60) + " h " + std::to_string(minutes % 60) + " min";
}

ByteUnit ByteUnit::for_sizes_up_to(int64_t largest_bytes) {
  if (largest_bytes < 10'000'000'000) return {};
  return {1e9, 1073741824, "GB", "GiB"};
}

std::string ByteUnit::in_decimal(int64_t bytes) const {
  return fixed(static_cast<double>(bytes) / decimal, 2) + " " + decimal_name;
}

std::string ByteUnit::in_binary(int64_t bytes) const {
  return fixed(static_cast<double>(bytes) / binary, 2) + " " + binary_name;
}

}  // namespace qtk::report
