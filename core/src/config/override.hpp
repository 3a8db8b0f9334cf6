// `--set a.b=c`: one value of the tree, given on the command line.
#pragma once

#include "config/diagnostics.hpp"
#include "config/node.hpp"

#include <string>

namespace qtk::config {

/// Sets the value at a dotted path; the value is YAML, read by the same rules as a file, and
/// replaces what was there. Missing maps are made; a number addresses an existing element of a
/// list. A text that is not KEY=VALUE, or a path through something that is neither map nor list, is
/// reported.
void apply_override(const std::string& text, Node& root, Diagnostics& diagnostics);

}  // namespace qtk::config
