#include <qtk/options/option_value.hpp>

#include <algorithm>
#include <sstream>

namespace qtk {
namespace {

template <class T>
std::string text(const T& value) {
  std::ostringstream out;
  out << std::boolalpha << value;
  return out.str();
}
template <class E>
std::string text(const std::vector<E>& values) {
  std::string all;
  for (const E& value : values) all += (all.empty() ? "" : ", ") + text(value);
  return "[" + all + "]";
}

std::string choices_text(const OptionSpec& spec) {
  std::string all;
  for (const OptionValue& choice : spec.choices)
    all += (all.empty() ? "" : ", ") + option_value_text(choice);
  return "{" + all + "}";
}

template <class T>
std::string violation(const OptionSpec& spec, const T& value) {
  if constexpr (std::is_same_v<T, int64_t> || std::is_same_v<T, double>) {
    const bool is_low = spec.lower && !(static_cast<double>(value) >= *spec.lower);
    const bool is_high = spec.upper && !(static_cast<double>(value) <= *spec.upper);
    if ((is_low || is_high) && spec.lower && spec.upper)
      return "is outside [" + text(*spec.lower) + ", " + text(*spec.upper) + "]";
    if (is_low) return "is not >= " + text(*spec.lower);
    if (is_high) return "is not <= " + text(*spec.upper);
  }
  if (!spec.choices.empty() &&
      std::ranges::find(spec.choices, OptionValue(value)) == spec.choices.end())
    return "is not one of " + choices_text(spec);
  return {};
}
template <class E>
std::string violation(const OptionSpec& spec, const std::vector<E>& values) {
  for (const E& value : values)
    if (std::string what = violation(spec, value); !what.empty()) return what;
  return {};
}

}  // namespace

const OptionSpec* OptionTable::find(const std::string& name) const {
  const auto known = std::ranges::find(specs, name, &OptionSpec::name);
  return known == specs.end() ? nullptr : &*known;
}

std::string option_type_name(OptionType type) {
  constexpr const char* kNames[] = {"bool",        "int",           "float",       "text",
                                    "list of int", "list of float", "list of text"};
  return kNames[static_cast<int>(type)];
}

std::string option_value_text(const OptionValue& value) {
  return std::visit([](const auto& held) { return text(held); }, value);
}

std::string option_violation(const OptionSpec& spec, const OptionValue& value) {
  if (value.index() != static_cast<size_t>(spec.type))
    return "is not a " + option_type_name(spec.type);
  return std::visit([&](const auto& held) { return violation(spec, held); }, value);
}

}  // namespace qtk
