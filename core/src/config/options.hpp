// Nodes -> values of typed options, with every fault reported at its place.
#pragma once

#include "config/diagnostics.hpp"
#include "config/node.hpp"

#include <qtk/options/option_value.hpp>

#include <optional>
#include <span>
#include <string>

namespace qtk::config {

/// Reads a map of options. Reported: unknown names (with the nearest known one), wrong types,
/// values outside range or choices, null. A deprecated option is a warning. Numbers may carry
/// suffixes (`20M`, `512Ki`); durations (`10min`) are for options with the unit "s". An absent map
/// means "all defaults"; null and other kinds are errors.
/// @param path   dotted, of the map: "quantizer.options"
/// @param owner  whose options they are: "quantizer `affine`"
/// @returns only what was given and is valid
OptionValues resolve_options(const OptionTable& table, const Node* map, const std::string& path,
                             const std::string& owner, Diagnostics& diagnostics);

/// One option; nothing if it was refused (and reported) or not resolved.
std::optional<OptionValue> read_option(const OptionSpec& spec, const Node& node,
                                       const std::string& path, const std::string& owner,
                                       Diagnostics& diagnostics);

/// Reports a key that nobody knows. `what` is how it is called there: "unknown option `x` for
/// quantizer `affine`".
/// @param table  for the type and sentence of a suggestion; may lack names of `known`
void report_unknown(const std::string& what, const Node::Key& key, const std::string& path,
                    std::span<const std::string> known, const OptionTable& table,
                    Diagnostics& diagnostics);

/// "int in [2, 8], bit"; for messages and help.
std::string option_type_summary(const OptionSpec& spec);
/// "[2, 8]", ">= 1", "{2, 3, 4}" or "", without the bounds that are only the limits of a C++ type.
std::string option_bounds(const OptionSpec& spec);
/// True for the smallest and largest value of a 32-bit type.
bool is_type_limit(double bound);

}  // namespace qtk::config
