#include "config/options.hpp"

#include "base/nearest_name.hpp"
#include "config/scalar.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace qtk::config {
namespace {

/// Reads nodes of one option and reports what is wrong with them.
class OptionReader {
 public:
  OptionReader(const OptionSpec& spec, std::string subject, Diagnostics& diagnostics)
      : spec_(spec), subject_(std::move(subject)), diagnostics_(diagnostics) {}

  std::optional<OptionValue> read(const Node& node, const std::string& path) {
    const NumberUnit unit = spec_.unit == "s" ? NumberUnit::kSeconds : NumberUnit::kOther;
    switch (spec_.type) {
      case OptionType::kBool:
        return wrap(scalar(node, path, read_bool));
      case OptionType::kInt:
        return wrap(scalar(node, path, [&](const Node& n) { return read_int(n, unit); }));
      case OptionType::kReal:
        return wrap(scalar(node, path, [&](const Node& n) { return read_real(n, unit); }));
      case OptionType::kText:
        return wrap(scalar(node, path, [&](const Node& n) { return read_word(n); }));
      case OptionType::kIntList:
        return list<int64_t>(node, path, [&](const Node& n) { return read_int(n, unit); });
      case OptionType::kRealList:
        return list<double>(node, path, [&](const Node& n) { return read_real(n, unit); });
      case OptionType::kTextList:
        return list<std::string>(node, path, [&](const Node& n) { return read_word(n); });
    }
    return std::nullopt;
  }

  void refuse(const Node& node, const std::string& path, const std::string& problem,
              std::string remedy) {
    if (remedy.empty()) remedy = "expected: " + option_type_summary(spec_);
    diagnostics_.error({subject_ + " " + problem, node.mark(), path, std::move(remedy)});
  }

 private:
  /// A choice is what it says, even if it is `off`.
  Reading<std::string> read_word(const Node& node) const {
    const bool is_choice =
        node.is_scalar() &&
        std::ranges::find(spec_.choices, OptionValue(node.text())) != spec_.choices.end();
    if (is_choice) return {.value = node.text()};
    return read_text(node);
  }

  template <class T>
  static std::optional<OptionValue> wrap(std::optional<T> value) {
    if (!value) return std::nullopt;
    return OptionValue(std::move(*value));
  }

  template <class Read>
  auto scalar(const Node& node, const std::string& path, Read read) -> decltype(read(node).value) {
    if (node.style() == ScalarStyle::kUnresolved) return std::nullopt;
    if (node.is_null()) {
      refuse(node, path, "has no value", "write a value, or remove the key to get the default");
      return std::nullopt;
    }
    auto reading = read(node);
    if (!reading.value) refuse(node, path, reading.problem, reading.remedy);
    return reading.value;
  }

  template <class T, class Read>
  std::optional<OptionValue> list(const Node& node, const std::string& path, Read read) {
    if (!node.is_sequence()) {
      if (node.style() == ScalarStyle::kUnresolved) return std::nullopt;
      refuse(node, path, "must be a " + option_type_name(spec_.type) + ", found " + found(node),
             node.is_scalar() ? "write  [" + node.text() + "]" : "");
      return std::nullopt;
    }
    std::vector<T> values;
    for (size_t i = 0; i < node.items().size(); ++i)
      if (auto value = scalar(node.items()[i], child_path(path, i), read))
        values.push_back(std::move(*value));
    if (values.size() != node.items().size()) return std::nullopt;
    return OptionValue(std::move(values));
  }

  const OptionSpec& spec_;
  std::string subject_;
  Diagnostics& diagnostics_;
};

/// "did you mean `absmax`?" if the value is a misspelt choice.
std::string nearest_choice(const OptionSpec& spec, const OptionValue& value) {
  const auto* text = std::get_if<std::string>(&value);
  if (!text) return {};
  std::vector<std::string> choices;
  for (const OptionValue& choice : spec.choices)
    if (const auto* word = std::get_if<std::string>(&choice)) choices.push_back(*word);
  const std::string nearest = nearest_name(*text, choices);
  return nearest.empty() ? "" : "did you mean `" + nearest + "`?";
}

std::string number_text(const OptionSpec& spec, double bound) {
  const bool is_real = spec.type == OptionType::kReal || spec.type == OptionType::kRealList;
  const bool is_integer = bound == std::floor(bound) && std::abs(bound) < 0x1p63;
  if (!is_real && is_integer) return option_value_text(static_cast<int64_t>(bound));
  return option_value_text(bound);
}

}  // namespace

std::optional<OptionValue> read_option(const OptionSpec& spec, const Node& node,
                                       const std::string& path, const std::string& owner,
                                       Diagnostics& diagnostics) {
  OptionReader reader(spec, "`" + spec.name + "` of " + owner, diagnostics);
  auto value = reader.read(node, path);
  if (!value) return std::nullopt;
  const std::string violation = option_violation(spec, *value);
  if (violation.empty()) return value;
  reader.refuse(node, path, "= " + option_value_text(*value) + " " + violation,
                nearest_choice(spec, *value));
  return std::nullopt;
}

OptionValues resolve_options(const OptionTable& table, const Node* map, const std::string& path,
                             const std::string& owner, Diagnostics& diagnostics) {
  OptionValues values;
  if (!map || map->style() == ScalarStyle::kUnresolved) return values;
  if (!map->is_map()) {
    diagnostics.error({"the options of " + owner +
                           " must be a section of `name: value` pairs, found " + found(*map),
                       map->mark(), path,
                       map->is_null() ? "write {} for none, or remove the key" : ""});
    return values;
  }
  std::vector<std::string> known;
  for (const OptionSpec& spec : table.specs) known.push_back(spec.name);
  for (size_t i = 0; i < map->keys().size(); ++i) {
    const Node::Key& key = map->keys()[i];
    const std::string key_path = child_path(path, key.text);
    const OptionSpec* spec = table.find(key.text);
    if (!spec) {
      report_unknown("unknown option `" + key.text + "` for " + owner, key, key_path, known, table,
                     diagnostics);
      continue;
    }
    if (!spec->deprecated.empty())
      diagnostics.warn({"`" + key.text + "` of " + owner + " is deprecated", key.mark, key_path,
                        spec->deprecated});
    if (auto value = read_option(*spec, map->items()[i], key_path, owner, diagnostics))
      values.emplace(key.text, std::move(*value));
  }
  return values;
}

void report_unknown(const std::string& what, const Node::Key& key, const std::string& path,
                    std::span<const std::string> known, const OptionTable& table,
                    Diagnostics& diagnostics) {
  std::string remedy;
  if (!diagnostics.is_crowded()) {
    const std::string nearest = nearest_name(key.text, known);
    if (nearest.empty()) {
      remedy = known.empty() ? "there are none" : "known: " + join(known);
    } else {
      remedy = "did you mean `" + nearest + "`?";
      if (const OptionSpec* spec = table.find(nearest))
        remedy += "  (" + option_type_summary(*spec) + "; " + spec->doc + ")";
    }
  }
  diagnostics.error({what, key.mark, path, std::move(remedy)});
}

bool is_type_limit(double bound) {
  const double magnitude = std::abs(bound);
  return magnitude == std::numeric_limits<int32_t>::max() ||
         bound == std::numeric_limits<int32_t>::min() ||
         magnitude == std::numeric_limits<uint32_t>::max() ||
         magnitude == std::numeric_limits<float>::max();
}

std::string option_bounds(const OptionSpec& spec) {
  if (!spec.choices.empty()) {
    std::vector<std::string> texts;
    for (const OptionValue& choice : spec.choices) {
      const auto* word = std::get_if<std::string>(&choice);
      if (!word)
        texts.push_back(option_value_text(choice));
      else if (!word->empty())
        texts.push_back(*word);  // "": not set
    }
    return "{" + join(texts) + "}";
  }
  const bool has_lower = spec.lower && !is_type_limit(*spec.lower);
  const bool has_upper = spec.upper && !is_type_limit(*spec.upper);
  if (has_lower && has_upper)
    return "[" + number_text(spec, *spec.lower) + ", " + number_text(spec, *spec.upper) + "]";
  if (has_lower) return ">= " + number_text(spec, *spec.lower);
  if (has_upper) return "<= " + number_text(spec, *spec.upper);
  return {};
}

std::string option_type_summary(const OptionSpec& spec) {
  std::string summary = option_type_name(spec.type);
  if (const std::string bounds = option_bounds(spec); !bounds.empty())
    summary += (bounds.front() == '[' ? " in " : " ") + bounds;
  if (!spec.unit.empty()) summary += ", " + spec.unit;
  return summary;
}

}  // namespace qtk::config
