// Node -> YAML that reads back as the same values, whatever the texts contain.
#pragma once

#include "config/node.hpp"

#include <qtk/options/option_value.hpp>

#include <string>
#include <string_view>

namespace qtk::config {

/// Block style, two spaces, short lists in brackets. Text that a reader could take for something
/// else is quoted, and
/// `${` is escaped, because interpolation has been done. Ends with a newline.
std::string to_yaml(const Node& node);

/// A text as it must stand in YAML to be read as that text.
std::string yaml_text(std::string_view text);

/// A value as a node that reads back as that value.
Node value_node(const OptionValue& value);

/// The options of one table as a map: those given, and the defaults of the others. Defaults that
/// say "not set" (an empty text or list, an infinity) are left out.
Node options_node(const OptionTable& table, const OptionValues& values);

/// True for a default that says "not set".
bool is_unset(const OptionValue& value);

}  // namespace qtk::config
