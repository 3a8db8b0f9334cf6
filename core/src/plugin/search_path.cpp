#include "plugin/search_path.hpp"

#include "base/logging.hpp"
#include "base/nearest_name.hpp"

#include <qtk/runtime/error.hpp>

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <set>
#include <string_view>
#include <system_error>

namespace qtk::plugin {
namespace {

namespace fs = std::filesystem;

constexpr const char* kVariable = "QTK_PLUGIN_PATH";

std::vector<fs::path> entries_of_variable() {
  std::vector<fs::path> entries;
  const char* value = std::getenv(kVariable);
  std::string_view rest = value ? value : "";
  while (!rest.empty()) {
    const size_t end = std::min(rest.find(':'), rest.size());
    // An empty entry would mean the working directory.
    if (end > 0) entries.emplace_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return entries;
}

class RootList {
 public:
  void add(const fs::path& canonical, const char* origin, bool is_built_in = false) {
    const auto known = std::ranges::find(roots_, canonical, &PluginRoot::path);
    if (known == roots_.end())
      roots_.push_back({canonical, origin, is_built_in});
    else
      known->is_built_in |= is_built_in;
  }

  std::vector<PluginRoot> take() { return std::move(roots_); }

 private:
  std::vector<PluginRoot> roots_;
};

void add_explicit(std::span<const fs::path> paths, RootList& roots) {
  for (const fs::path& path : paths) {
    std::error_code error;
    const fs::path canonical = fs::canonical(path, error);
    if (error)
      throw ConfigError("the plugin path " + path.string() + " cannot be used: " + error.message(),
                        "name a folder with plugins, or a plugin file");
    roots.add(canonical, "plugin path");
  }
}

void add_variable(RootList& roots) {
  for (const fs::path& path : entries_of_variable()) {
    if (!path.is_absolute())
      throw ConfigError("QTK_PLUGIN_PATH holds the relative path '" + path.string() + "'",
                        "write absolute folders, separated by colons");
    std::error_code error;
    const fs::path canonical = fs::canonical(path, error);
    if (error)
      core_log().warn("QTK_PLUGIN_PATH names " + path.string() + ": " + error.message());
    else
      roots.add(canonical, kVariable);
  }
}

/// Shared libraries directly in `folder`, sorted. An unreadable folder has none.
std::vector<fs::path> libraries_in(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error))
    if (entry->path().extension() == ".so") files.push_back(entry->path());
  std::ranges::sort(files);
  return files;
}

std::vector<fs::path> libraries_of(const PluginRoot& root) {
  std::error_code error;
  if (!fs::is_directory(root.path, error)) return {root.path};
  std::vector<fs::path> files;
  const auto append = [&](const fs::path& folder) {
    for (fs::path& file : libraries_in(folder)) files.push_back(std::move(file));
  };
  for (const std::string& kind : plugin_kinds()) append(root.path / kind);
  append(root.path);
  return files;
}

FoundPlugin examine(const fs::path& file, const PluginRoot& root) {
  FoundPlugin found{file, root, std::nullopt, {}};
  try {
    found.manifest = read_manifest(file);
  } catch (const Error& error) {
    found.problem = error.what();
  }
  const std::string what =
      found.manifest ? found.manifest->kind + " " + found.manifest->name : found.problem;
  core_log().debug("plugin candidate " + what + " file=" + file.string() +
                   " origin=" + root.origin);
  return found;
}

}  // namespace

std::filesystem::path own_library() {
  Dl_info info{};
  if (::dladdr(reinterpret_cast<const void*>(&own_library), &info) == 0 || !info.dli_fname)
    return {};
  std::error_code error;
  return fs::canonical(info.dli_fname, error);
}

std::vector<PluginRoot> search_roots(std::span<const fs::path> explicit_paths) {
  RootList roots;
  add_explicit(explicit_paths, roots);
  add_variable(roots);
  std::error_code error;
  const fs::path built_in = fs::canonical(own_library().parent_path() / "qtk/plugins", error);
  if (!error) roots.add(built_in, "built in", /*is_built_in=*/true);
  return roots.take();
}

std::vector<FoundPlugin> find_plugins(std::span<const PluginRoot> roots) {
  std::vector<FoundPlugin> found;
  std::set<fs::path> seen;
  for (const PluginRoot& root : roots)
    for (const fs::path& file : libraries_of(root)) {
      std::error_code error;
      const fs::path canonical = fs::canonical(file, error);
      if (error || !seen.insert(canonical).second) continue;
      found.push_back(examine(canonical, root));
    }
  return found;
}

std::string searched_text(std::span<const PluginRoot> roots) {
  std::vector<std::string> parts;
  for (const PluginRoot& root : roots) parts.push_back(root.path.string());
  const char* variable = std::getenv(kVariable);
  if (!variable || !*variable) parts.emplace_back("QTK_PLUGIN_PATH (unset)");
  return join(parts);
}

}  // namespace qtk::plugin
