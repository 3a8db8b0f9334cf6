// A configuration as one tree: the file, what it includes, overrides of the command line,
// references filled in.
//
//   include: [base.yaml, ../models/small.yaml]   # first key of the file or anywhere at its top
//   level
//
// Included files are laid over one another in order, the including file over them all: maps key by
// key, everything else whole. Paths are relative to the including file, and must stay inside the
// folder of the main file or the current folder.
#pragma once

#include "config/diagnostics.hpp"
#include "config/node.hpp"

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace qtk::config {

struct Document {
  Node root = Node::map();
  std::vector<std::filesystem::path> files;  // as opened, the main file first
  bool is_readable = true;  // false: the main file is no YAML, so there is nothing to check
};

/// Reads a file. Problems go to `diagnostics`; nothing is thrown.
/// @param overrides  "a.b=c", the texts after `--set`, applied in order
Document load_document(const std::filesystem::path& path, std::span<const std::string> overrides,
                       Diagnostics& diagnostics);

/// The same for a text, such as standard input. Includes are relative to the current folder.
/// @param name  for marks
Document parse_document(std::string_view text, const std::string& name,
                        std::span<const std::string> overrides, Diagnostics& diagnostics);

}  // namespace qtk::config
