// What a plugin's option table must satisfy, and what values must satisfy before they reach the
// plugin.
#pragma once

#include <qtk/options/option_value.hpp>

#include <string>

namespace qtk::plugin {

/// Empty if the table is sound: names in lower snake case and unique, a sentence for each, defaults
/// that satisfy their own bounds, functions that read and write. Else what is wrong, as the end of
/// "plugin 'x' (kind) ...".
std::string table_violation(const OptionTable& table);

/// Empty if every value belongs to an option and satisfies it; else what is wrong: "option 'bits' =
/// 9 is outside [2, 8]".
std::string values_violation(const OptionTable& table, const OptionValues& values);

}  // namespace qtk::plugin
