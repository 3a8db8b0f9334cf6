#include "plugin/option_rules.hpp"

#include "base/nearest_name.hpp"
#include "plugin/plugin_name.hpp"

#include <set>
#include <vector>

namespace qtk::plugin {
namespace {

std::string spec_violation(const OptionSpec& spec) {
  const std::string option = "declares an option '" + spec.name + "' ";
  if (!is_plugin_id(spec.name)) return option + "whose name is not lower snake case";
  if (spec.doc.empty()) return option + "without a doc() sentence";
  if (!spec.doc.ends_with('.')) return option + "whose doc() sentence has no period at its end";
  if (!spec.read || !spec.write) return option + "that cannot be read and written";
  if (spec.default_value.index() != static_cast<size_t>(spec.type))
    return option + "whose default is of another type";
  if (const std::string violation = option_violation(spec, spec.default_value); !violation.empty())
    return option + "whose default " + option_value_text(spec.default_value) + " " + violation;
  return {};
}

}  // namespace

std::string table_violation(const OptionTable& table) {
  std::set<std::string> names;
  for (const OptionSpec& spec : table.specs) {
    if (std::string violation = spec_violation(spec); !violation.empty()) return violation;
    if (!names.insert(spec.name).second) return "declares the option '" + spec.name + "' twice";
  }
  return {};
}

std::string values_violation(const OptionTable& table, const OptionValues& values) {
  for (const auto& [name, value] : values) {
    const OptionSpec* spec = table.find(name);
    if (!spec) {
      std::vector<std::string> known;
      for (const OptionSpec& option : table.specs) known.push_back(option.name);
      const std::string nearest = nearest_name(name, known);
      return "unknown option '" + name + "'" +
             (nearest.empty() ? "" : "; did you mean '" + nearest + "'?");
    }
    if (const std::string violation = option_violation(*spec, value); !violation.empty())
      return "option '" + name + "' = " + option_value_text(value) + " " + violation;
  }
  return {};
}

}  // namespace qtk::plugin
