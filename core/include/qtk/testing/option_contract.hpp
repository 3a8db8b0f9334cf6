// What the options of every plugin must satisfy, whatever its kind.
#pragma once

#include <qtk/testing/contract_subject.hpp>
#include <qtk/testing/plugin_under_test.hpp>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <variant>
#include <vector>

namespace qtk::testing {

/// What can be seen of a plugin's object: numbers and text. Two behaviours are equal if every bit
/// is.
struct Behaviour {
  std::vector<at::Tensor> tensors;
  std::string text;

  void see(const at::Tensor& tensor) {
    tensors.push_back(tensor.defined() ? tensor.detach().clone() : tensor);
  }
  void see(const std::string& word) { text += word + "\n"; }

  bool operator==(const Behaviour& other) const {
    if (text != other.text || tensors.size() != other.tensors.size()) return false;
    for (size_t i = 0; i < tensors.size(); ++i) {
      const at::Tensor &a = tensors[i], &b = other.tensors[i];
      if (a.defined() != b.defined()) return false;
      if (a.defined() && (a.scalar_type() != b.scalar_type() || !at::equal(a, b))) return false;
    }
    return true;
  }
};

using Observe = std::function<Behaviour(const OptionValues&)>;

namespace detail {

template <class T>
void add_if_valid(const OptionSpec& spec, T value, std::vector<OptionValue>& values) {
  if (OptionValue(value) != spec.default_value && option_violation(spec, value).empty())
    values.emplace_back(value);
}

/// Legal values other than the default, nearest first.
inline std::vector<OptionValue> other_values(const OptionSpec& spec) {
  std::vector<OptionValue> values;
  for (const OptionValue& choice : spec.choices)
    std::visit([&](auto value) { add_if_valid(spec, value, values); }, choice);
  if (const auto* flag = std::get_if<bool>(&spec.default_value)) add_if_valid(spec, !*flag, values);
  if (const auto* number = std::get_if<int64_t>(&spec.default_value))
    for (const int64_t value : {*number * 2, *number / 2, *number + 1, *number - 1})
      add_if_valid(spec, value, values);
  if (const auto* number = std::get_if<double>(&spec.default_value))
    for (const double value : {*number * 2, *number / 2, *number + 0.5, *number - 0.5,
                               spec.lower.value_or(*number), spec.upper.value_or(*number)})
      add_if_valid(spec, value, values);
  if (const auto* list = std::get_if<std::vector<int64_t>>(&spec.default_value);
      list && !list->empty()) {
    auto changed = *list;
    changed.front() += 1;
    add_if_valid(spec, changed, values);
  }
  if (const auto* list = std::get_if<std::vector<double>>(&spec.default_value);
      list && !list->empty()) {
    auto changed = *list;
    changed.front() *= 0.5;
    add_if_valid(spec, changed, values);
  }
  return values;
}

/// Nothing if the plugin refuses the value in combination with the others.
inline std::optional<Behaviour> behaviour_with(OptionValues values, const std::string& name,
                                               const OptionValue& value, const Observe& observe) {
  values[name] = value;
  try {
    return observe(values);
  } catch (const ConfigError&) {
    return std::nullopt;
  }
}

inline void check_option_matters(const OptionSpec& spec, const OptionValues& values,
                                 const Observe& observe) {
  const Behaviour usual = observe(values);
  bool is_accepted = false;
  for (const OptionValue& value : other_values(spec)) {
    const auto other = behaviour_with(values, spec.name, value, observe);
    if (other && !(*other == usual)) return;
    is_accepted |= other.has_value();
  }
  ADD_FAILURE()
      << "option '" << spec.name << "' "
      << (is_accepted
              ? "changes nothing that can be seen; remove it, or name in matters_with what it needs"
              : "has no other legal value that could be tried; name its test in tested_elsewhere");
}

}  // namespace detail

/// Sets each option to other legal values and expects that some result changes.
inline void check_every_option_matters(const PluginUnderTest& plugin,
                                       const ContractSubject& subject, const Observe& observe) {
  for (const OptionSpec& spec : option_table(plugin).specs) {
    if (subject.tested_elsewhere.contains(spec.name)) continue;
    OptionValues values = parse_options(plugin, subject.options);
    if (const auto more = subject.matters_with.find(spec.name); more != subject.matters_with.end())
      for (const auto& [name, value] : parse_options(plugin, more->second)) values[name] = value;
    values.erase(spec.name);
    detail::check_option_matters(spec, values, observe);
  }
}

/// Values just outside of each documented bound, and unknown names, must not reach the plugin.
inline void check_bounds_are_enforced(const PluginUnderTest& plugin) {
  const auto expect_refused = [&](const std::string& name, const OptionValue& value) {
    try {
      create(plugin, {{name, value}});
      ADD_FAILURE() << "option '" << name << "' accepts " << option_value_text(value);
    } catch (const ConfigError& error) {
      EXPECT_NE(std::string_view(error.what()).find(name), std::string_view::npos) << error.what();
    }
  };
  for (const OptionSpec& spec : option_table(plugin).specs) {
    for (const auto& [bound, step] : {std::pair{spec.lower, -1.0}, std::pair{spec.upper, 1.0}}) {
      if (!bound) continue;
      if (spec.type == OptionType::kInt)
        expect_refused(spec.name, static_cast<int64_t>(*bound + step));
      if (spec.type == OptionType::kReal)
        expect_refused(spec.name, *bound + step * (1 + std::abs(*bound)));
    }
    if (!spec.choices.empty() && spec.type == OptionType::kText)
      expect_refused(spec.name, std::string("no such choice"));
  }
  expect_refused("no_such_option", int64_t{1});
}

}  // namespace qtk::testing
