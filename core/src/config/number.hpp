// The parts of a number as a configuration spells it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace qtk::config {

struct NumberText {
  std::string_view sign;      // "", "+", "-"
  std::string_view whole;     // digits before the point
  std::string_view fraction;  // ".", ".5" or ""
  std::string_view exponent;  // "e-5" or ""
  std::string_view suffix;    // letters

  bool is_integer() const { return fraction.empty() && exponent.empty(); }
  bool has_leading_zero() const { return whole.size() > 1 && whole.front() == '0'; }
};

/// Nothing if the text is not built like a number. The suffix is not checked.
std::optional<NumberText> split_number(std::string_view text);

/// 1000 for "K", 1 for "", nothing if unknown.
std::optional<int64_t> count_suffix(std::string_view suffix);
/// Milliseconds in "ms", "s", "min", "h", "d", nothing if unknown.
std::optional<int64_t> duration_suffix_ms(std::string_view suffix);

}  // namespace qtk::config
