#include "config/scalar.hpp"

#include "config/number.hpp"
#include "config/utf8.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace qtk::config {
namespace {

std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return lower;
}

template <size_t N>
bool is_one_of(const std::array<std::string_view, N>& words, std::string_view text) {
  return std::ranges::find(words, text) != words.end();
}

template <class T>
Reading<T> wrong(const std::string& problem, const std::string& remedy = {}) {
  return {.value = std::nullopt, .problem = problem, .remedy = remedy};
}

template <class T>
Reading<T> wrong_type(const Node& node, const char* type, const std::string& remedy = {}) {
  return wrong<T>(std::string("must be ") + type + ", found " + found(node), remedy);
}

/// A scalar that is not a plain one: says so; else nothing.
template <class T>
std::optional<Reading<T>> refuse_all_but_plain(const Node& node, const char* type) {
  if (!node.is_scalar()) return wrong_type<T>(node, type);
  if (node.style() == ScalarStyle::kQuoted) return wrong_type<T>(node, type, "remove the quotes");
  return std::nullopt;
}

template <class T>
Reading<T> wrong_value(const Node& node, const std::string& reason,
                       const std::string& remedy = {}) {
  return wrong<T>("is " + found(node) + ": " + reason, remedy);
}

struct Scale {
  int64_t factor = 1;
  bool is_ms = false;  // the factor gives milliseconds
};

Reading<Scale> read_scale(const Node& node, const NumberText& number, NumberUnit unit) {
  if (number.has_leading_zero())
    return wrong_value<Scale>(node, "some readers take a leading zero for an octal number",
                              "write it without the zero in front");
  if (const auto factor = count_suffix(number.suffix)) return {.value = Scale{*factor, false}};
  const auto ms = duration_suffix_ms(number.suffix);
  if (ms && unit == NumberUnit::kSeconds) return {.value = Scale{*ms, true}};
  if (ms)
    return wrong_value<Scale>(node, "a duration, but this is no time", "write a plain number");
  return wrong_value<Scale>(
      node, "unknown suffix `" + std::string(number.suffix) + "`",
      unit == NumberUnit::kSeconds
          ? "known: ms, s, min, h, d"
          : "known: K, M, G, T (powers of 1000), Ki, Mi, Gi, Ti (powers of 1024)");
}

/// value * scale in whole units; nothing if that is no integer or does not fit.
std::optional<int64_t> scaled(int64_t value, Scale scale) {
  int64_t product = 0;
  if (__builtin_mul_overflow(value, scale.factor, &product)) return std::nullopt;
  if (!scale.is_ms) return product;
  if (product % 1000 != 0) return std::nullopt;
  return product / 1000;
}

/// All but the suffix, and without a plus sign, which std::from_chars does not take.
std::string_view digits_of(std::string_view text, const NumberText& number) {
  text.remove_suffix(number.suffix.size());
  if (number.sign == "+") text.remove_prefix(1);
  return text;
}

template <class T>
bool parse(std::string_view digits, T& value) {
  return std::from_chars(digits.data(), digits.data() + digits.size(), value).ec == std::errc{};
}

std::string remedy_for_integer(const NumberText& number, std::string_view text) {
  double value = 0;
  const bool is_whole =
      parse(digits_of(text, number), value) && std::abs(value) < 1e15 && value == std::floor(value);
  if (is_whole)
    return "write " + std::to_string(static_cast<int64_t>(value)) + std::string(number.suffix);
  return "write it without fraction and exponent";
}

std::string remedy_for_word(const std::string& text) {
  if (text.find('_') != text.npos && text.find_first_not_of("0123456789_") == text.npos)
    return "write the digits without `_`";
  if (lower_case(text).starts_with("0x")) return "write a decimal number";
  return {};
}

}  // namespace

Reading<bool> read_bool(const Node& node) {
  constexpr const char* kType = "a bool";
  if (auto refused = refuse_all_but_plain<bool>(node, kType)) return *refused;
  if (node.text() == "true" || node.text() == "false") return {.value = node.text() == "true"};
  return wrong_type<bool>(node, kType, "write true or false");
}

Reading<int64_t> read_int(const Node& node, NumberUnit unit) {
  constexpr const char* kType = "an int";
  if (auto refused = refuse_all_but_plain<int64_t>(node, kType)) return *refused;
  const auto number = split_number(node.text());
  if (!number) return wrong_type<int64_t>(node, kType, remedy_for_word(node.text()));
  if (!number->is_integer())
    return wrong_type<int64_t>(node, kType, remedy_for_integer(*number, node.text()));
  const auto scale = read_scale(node, *number, unit);
  if (!scale.value) return wrong<int64_t>(scale.problem, scale.remedy);
  int64_t value = 0;
  if (!parse(digits_of(node.text(), *number), value))
    return wrong_value<int64_t>(node, "does not fit into 64 bits");
  if (const auto product = scaled(value, *scale.value)) return {.value = *product};
  return wrong_value<int64_t>(
      node, scale.value->is_ms ? "no whole number of seconds" : "does not fit into 64 bits");
}

Reading<double> read_real(const Node& node, NumberUnit unit) {
  constexpr const char* kType = "a float";
  if (auto refused = refuse_all_but_plain<double>(node, kType)) return *refused;
  const auto number = split_number(node.text());
  if (!number) {
    const std::string word = lower_case(node.text());
    const bool is_special = word.ends_with("inf") || word.ends_with("nan");
    return wrong_type<double>(node, is_special ? "a finite float" : kType,
                              remedy_for_word(node.text()));
  }
  const auto scale = read_scale(node, *number, unit);
  if (!scale.value) return wrong<double>(scale.problem, scale.remedy);
  double value = 0;
  const bool is_read = parse(digits_of(node.text(), *number), value);
  value *= static_cast<double>(scale.value->factor);
  if (scale.value->is_ms) value /= 1000;
  if (!is_read || !std::isfinite(value))
    return wrong_value<double>(node, "does not fit into a 64-bit float");
  return {.value = value};
}

Reading<std::string> read_text(const Node& node) {
  constexpr const char* kType = "a text";
  if (!node.is_scalar()) return wrong_type<std::string>(node, kType);
  if (node.style() == ScalarStyle::kPlain && is_bool_word(node.text()))
    return wrong_type<std::string>(node, kType, "put it into quotes: \"" + node.text() + "\"");
  return {.value = node.text()};
}

bool is_bool_word(std::string_view word) {
  constexpr std::array<std::string_view, 6> kWords = {"true", "false", "yes", "no", "on", "off"};
  return is_one_of(kWords, lower_case(word));
}

bool is_null_word(std::string_view word) {
  constexpr std::array<std::string_view, 3> kWords = {"", "~", "null"};
  return is_one_of(kWords, lower_case(word));
}

bool looks_typed(std::string_view word) {
  constexpr std::array<std::string_view, 3> kSpecial = {".inf", "-.inf", ".nan"};
  const bool starts_like_number = word.find_first_of("0123456789") == word.find_first_not_of("+-.");
  return is_bool_word(word) || is_null_word(word) || is_one_of(kSpecial, lower_case(word)) ||
         starts_like_number;
}

std::string found(const Node& node) {
  constexpr size_t kLongest = 60;
  if (node.is_null()) return "nothing";
  if (node.is_sequence()) return "a list";
  if (node.is_map()) return "a section";
  size_t end = std::min(node.text().size(), kLongest);
  while (end > 0 && end < node.text().size() && is_utf8_continuation(node.text()[end])) --end;
  const std::string shown = node.text().substr(0, end) + (end < node.text().size() ? "..." : "");
  return node.style() == ScalarStyle::kQuoted ? "the quoted text \"" + shown + "\""
                                              : "`" + shown + "`";
}

}  // namespace qtk::config
