// YAML text -> Node, by yaml-cpp's event interface and stricter than it: see the list of refusals
// in parse_yaml().
#pragma once

#include "config/diagnostics.hpp"
#include "config/node.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace qtk::config {

struct YamlOrigin {
  std::string file;       // for marks
  int first_column = 1;   // of the text's first line
  std::string path = {};  // dotted path of the text's root
};

/// Parses exactly one document. Problems go to `diagnostics`.
/// Refused whole: more than YamlLimits, bytes that are not UTF-8, control characters, tabs as
/// indentation, an alias inside its own anchor, a second document, anything yaml-cpp cannot parse.
/// Refused with the rest still read: duplicate keys (the first counts), merge keys `<<`, keys that
/// are not plain names, tags. A byte order mark at the start and CRLF line ends are accepted.
/// @returns nothing if the text was refused whole; a null node if it holds nothing
std::optional<Node> parse_yaml(std::string_view text, const YamlOrigin& origin,
                               Diagnostics& diagnostics);

}  // namespace qtk::config
