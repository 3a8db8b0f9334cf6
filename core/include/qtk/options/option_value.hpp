// Values of typed options and the description of one option. Parsing, help, JSON Schema,
// documentation, search spaces and error messages all come from OptionSpec.
#pragma once

#include <qtk/runtime/export.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

namespace qtk {

using OptionValue = std::variant<bool, int64_t, double, std::string, std::vector<int64_t>,
                                 std::vector<double>, std::vector<std::string>>;
/// By option name; only those that were given.
using OptionValues = std::map<std::string, OptionValue>;

/// In the order of OptionValue's alternatives.
enum class OptionType { kBool, kInt, kReal, kText, kIntList, kRealList, kTextList };

/// How a search may vary the option.
enum class Searchable { kNo, kChoice, kLinear, kLog };

struct OptionSpec {
  std::string name;
  OptionType type = OptionType::kBool;
  std::string doc;              // one sentence, ends with a period
  std::string unit;             // "bit", "token"; empty for pure numbers
  std::optional<double> lower;  // inclusive; for lists: of each element
  std::optional<double> upper;
  std::vector<OptionValue> choices;  // scalars; empty: any value in range
  std::string since;                 // version that brought it
  std::string deprecated;            // what to use instead; empty: current
  std::string paper;                 // symbol or equation
  std::string original_flag;         // its name in the method's original code
  Searchable searchable = Searchable::kNo;
  OptionValue default_value;
  std::function<OptionValue(const void* options)> read;
  std::function<void(void* options, const OptionValue& value)> write;
};

/// All options of one struct.
struct OptionTable {
  std::vector<OptionSpec> specs;
  std::function<void(const void* options)>
      validate;  // cross-field rules; empty if none. Throws ConfigError

  QTK_API const OptionSpec* find(const std::string& name) const;
};

/// "int", "list of float", ...
QTK_API std::string option_type_name(OptionType type);
/// As YAML would write it.
QTK_API std::string option_value_text(const OptionValue& value);
/// Empty if `value` satisfies type, range and choices; else what is wrong: "is outside [2, 8]".
QTK_API std::string option_violation(const OptionSpec& spec, const OptionValue& value);

}  // namespace qtk
