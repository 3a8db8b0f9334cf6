#include "config/number.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

namespace qtk::config {
namespace {

struct Suffix {
  std::string_view name;
  int64_t factor;
};

constexpr std::array kCounts = {Suffix{"", 1},
                                Suffix{"K", 1000},
                                Suffix{"M", 1'000'000},
                                Suffix{"G", 1'000'000'000},
                                Suffix{"T", 1'000'000'000'000},
                                Suffix{"Ki", 1 << 10},
                                Suffix{"Mi", 1 << 20},
                                Suffix{"Gi", 1 << 30},
                                Suffix{"Ti", int64_t{1} << 40}};
constexpr std::array kDurations = {Suffix{"ms", 1}, Suffix{"s", 1000}, Suffix{"min", 60'000},
                                   Suffix{"h", 3'600'000}, Suffix{"d", 86'400'000}};

template <size_t N>
std::optional<int64_t> factor_of(const std::array<Suffix, N>& suffixes, std::string_view name) {
  const auto known = std::ranges::find(suffixes, name, &Suffix::name);
  if (known == suffixes.end()) return std::nullopt;
  return known->factor;
}

/// Takes the longest prefix of characters that satisfy `is_part` from the front of `rest`.
template <class Predicate>
std::string_view take(std::string_view& rest, Predicate is_part) {
  const auto end = std::ranges::find_if_not(rest, is_part);
  const auto part = rest.substr(0, static_cast<size_t>(end - rest.begin()));
  rest.remove_prefix(part.size());
  return part;
}

// Not <cctype>: its answers depend on the locale.
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

std::string_view take_exponent(std::string_view& rest) {
  if (rest.empty() || (rest[0] != 'e' && rest[0] != 'E')) return {};
  size_t digits = 1;
  if (digits < rest.size() && (rest[digits] == '+' || rest[digits] == '-')) ++digits;
  size_t end = digits;
  while (end < rest.size() && is_digit(rest[end])) ++end;
  if (end == digits) return {};
  return std::exchange(rest, rest.substr(end)).substr(0, end);
}

}  // namespace

std::optional<NumberText> split_number(std::string_view text) {
  NumberText number;
  std::string_view rest = text;
  if (!rest.empty() && (rest[0] == '+' || rest[0] == '-'))
    number.sign = std::exchange(rest, rest.substr(1)).substr(0, 1);
  number.whole = take(rest, is_digit);
  if (!rest.empty() && rest[0] == '.') {
    const std::string_view from_point = rest;
    rest.remove_prefix(1);
    number.fraction = from_point.substr(0, 1 + take(rest, is_digit).size());
  }
  if (number.whole.empty() && number.fraction.size() < 2) return std::nullopt;
  number.exponent = take_exponent(rest);
  number.suffix = take(rest, is_letter);
  if (!rest.empty()) return std::nullopt;
  return number;
}

std::optional<int64_t> count_suffix(std::string_view suffix) {
  // Both spellings of a thousand are in use: 60k tokens.
  return factor_of(kCounts, suffix == "k" ? "K" : suffix);
}
std::optional<int64_t> duration_suffix_ms(std::string_view suffix) {
  return factor_of(kDurations, suffix);
}

}  // namespace qtk::config
