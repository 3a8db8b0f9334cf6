// `${env:NAME}` and `${other.path}` inside scalars. There is nothing else: no code, no defaults, no
// arithmetic.
#pragma once

#include "config/diagnostics.hpp"
#include "config/node.hpp"

namespace qtk::config {

/// Replaces every reference in the tree's scalars; `$${` stands for a literal `${`.
/// A scalar that is one reference and nothing else becomes what it refers to, type included; one
/// that holds more, or comes out of the environment, may be read as any type. Unknown names, cycles
/// and references to maps or lists are reported, and the scalar is marked as unresolved.
void interpolate(Node& root, Diagnostics& diagnostics);

}  // namespace qtk::config
