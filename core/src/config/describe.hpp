// Help made from option tables: the table that `qtk describe` prints, and YAML to start from.
#pragma once

#include "config/section.hpp"

#include <qtk/options/option_value.hpp>

#include <cstddef>
#include <string>

namespace qtk::config {

/// One line per option, in columns: name, type, default, range or choices, unit, sentence,
/// "searchable". Two spaces before each line.
std::string describe_options(const OptionTable& table);

/// Every section of the configuration of a run, with its keys.
std::string describe_run();

/// `name: default` lines, each with its sentence and bounds in a comment; valid YAML. Options whose
/// default says "not set" are commented out, deprecated ones left out.
/// @param indent  spaces before each line
std::string options_yaml(const OptionTable& table, size_t indent = 0);

}  // namespace qtk::config
