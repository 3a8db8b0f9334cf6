// Where plugins are looked for.
#pragma once

#include "plugin/manifest.hpp"

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace qtk::plugin {

/// A folder that holds plugins as <kind>/*.so or *.so, or one plugin file.
struct PluginRoot {
  std::filesystem::path path;  // canonical
  std::string origin;          // "plugin path", "QTK_PLUGIN_PATH", "built in"
  /// Beside our own libqtk.so: installed or built together with it.
  bool is_built_in = false;
};

/// What was found in a root: a plugin, or a file with a problem.
struct FoundPlugin {
  std::filesystem::path file;  // canonical
  PluginRoot root;
  std::optional<Manifest> manifest;
  std::string problem;  // why there is no manifest
};

/// Roots in the order of search: `explicit_paths` (relative ones against the working directory,
/// where their user wrote them), QTK_PLUGIN_PATH (separated by colons), <folder of
/// libqtk.so>/qtk/plugins. The working directory itself is never searched unless it is named. A
/// root that was given twice keeps its first place.
/// @throws ConfigError if an explicit path does not exist or QTK_PLUGIN_PATH has a relative entry;
/// entries of
///         QTK_PLUGIN_PATH that do not exist are logged and passed over
std::vector<PluginRoot> search_roots(std::span<const std::filesystem::path> explicit_paths);

/// Every *.so of the roots, sorted by name within a root. A file reached twice, for instance by a
/// symbolic link, is listed once. Nothing is opened.
std::vector<FoundPlugin> find_plugins(std::span<const PluginRoot> roots);

/// For "searched: ...": every root, and QTK_PLUGIN_PATH if it is unset.
std::string searched_text(std::span<const PluginRoot> roots);

/// The file of our own library.
std::filesystem::path own_library();

}  // namespace qtk::plugin
