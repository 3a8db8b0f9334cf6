#include "config/emit.hpp"
#include "config/options.hpp"

#include <qtk/options/option_value.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace qtk {
namespace {

std::string real_text(double value) {
  if (std::isnan(value)) return ".nan";
  if (std::isinf(value)) return value > 0 ? ".inf" : "-.inf";
  std::array<char, 32> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  std::string text(digits.data(), end);
  // A reader should see that it is no integer.
  if (text.find_first_of(".e") == text.npos) text += ".0";
  return text;
}

std::string scalar_text(bool value) { return value ? "true" : "false"; }
std::string scalar_text(int64_t value) { return std::to_string(value); }
std::string scalar_text(double value) { return real_text(value); }
std::string scalar_text(const std::string& value) { return config::yaml_text(value); }

template <class T>
std::string value_text(const T& value) {
  return scalar_text(value);
}
template <class E>
std::string value_text(const std::vector<E>& values) {
  std::string text = "[";
  for (size_t i = 0; i < values.size(); ++i) text += (i ? ", " : "") + scalar_text(values[i]);
  return text + "]";
}

/// Comparisons are written so that NaN is outside.
std::string range_violation(const OptionSpec& spec, double value) {
  const bool is_low = spec.lower && !(value >= *spec.lower);
  const bool is_high = spec.upper && !(value <= *spec.upper);
  if (!is_low && !is_high) return {};
  if (config::is_type_limit(is_low ? *spec.lower : *spec.upper)) return "does not fit into 32 bits";
  OptionSpec bounds;  // the range alone: choices would hide it
  bounds.type = spec.type;
  bounds.lower = spec.lower;
  bounds.upper = spec.upper;
  const std::string text = config::option_bounds(bounds);
  return (text.front() == '[' ? "is outside " : "is not ") + text;
}

template <class T>
std::string element_violation(const OptionSpec& spec, const T& value) {
  if constexpr (std::is_same_v<T, int64_t> || std::is_same_v<T, double>)
    if (std::string violation = range_violation(spec, static_cast<double>(value));
        !violation.empty())
      return violation;
  const bool is_choice = spec.choices.empty() ||
                         std::ranges::find(spec.choices, OptionValue(value)) != spec.choices.end();
  return is_choice ? std::string{} : "is not one of " + config::option_bounds(spec);
}

template <class T>
std::string violation_of(const OptionSpec& spec, const T& value) {
  return element_violation(spec, value);
}
template <class E>
std::string violation_of(const OptionSpec& spec, const std::vector<E>& values) {
  for (size_t i = 0; i < values.size(); ++i)
    if (const std::string violation = element_violation(spec, values[i]); !violation.empty())
      return "has " + scalar_text(values[i]) + " as element " + std::to_string(i) + ", which " +
             violation;
  return {};
}

}  // namespace

const OptionSpec* OptionTable::find(const std::string& name) const {
  const auto known = std::ranges::find(specs, name, &OptionSpec::name);
  return known == specs.end() ? nullptr : &*known;
}

std::string option_type_name(OptionType type) {
  switch (type) {
    case OptionType::kBool:
      return "bool";
    case OptionType::kInt:
      return "int";
    case OptionType::kReal:
      return "float";
    case OptionType::kText:
      return "text";
    case OptionType::kIntList:
      return "list of int";
    case OptionType::kRealList:
      return "list of float";
    case OptionType::kTextList:
      return "list of text";
  }
  return "unknown type";
}

std::string option_value_text(const OptionValue& value) {
  return std::visit([](const auto& held) { return value_text(held); }, value);
}

std::string option_violation(const OptionSpec& spec, const OptionValue& value) {
  if (value.index() != static_cast<size_t>(spec.type))
    return "is of type " + option_type_name(static_cast<OptionType>(value.index())) +
           ", expected " + option_type_name(spec.type);
  return std::visit([&](const auto& held) { return violation_of(spec, held); }, value);
}

}  // namespace qtk
