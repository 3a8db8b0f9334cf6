// The plugins of this process: what there is, and objects of what a configuration names.
//
//   auto quantizer = registry().make<Quantizer>("affine", {{"bits", int64_t{4}}}, context);
//
// Only plugins that are asked for by name are opened, and stay open until the process ends.
#pragma once

#include "plugin/plugin_library.hpp"
#include "plugin/probe.hpp"
#include "plugin/search_path.hpp"

#include <qtk/plugin_descriptor.hpp>

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qtk::plugin {

/// Gives an object back to the library that made it.
class PluginDeleter {
 public:
  PluginDeleter() = default;
  explicit PluginDeleter(const PluginLibrary& library) : library_(&library) {}
  template <class Interface>
  void operator()(Interface* object) const noexcept {
    library_->destroy(object);
  }
  /// Who made the object, for guarded().
  const PluginName& name() const { return library_->name(); }

 private:
  const PluginLibrary* library_ = nullptr;
};

template <class Interface>
using PluginPtr = std::unique_ptr<Interface, PluginDeleter>;

struct LoadOptions {
  std::vector<std::filesystem::path>
      plugin_paths;  // --plugin-path, then those of the configuration
  /// Plugins beside our own libqtk.so are not probed: they were built and installed with it, and a
  /// start must not pay for them.
  ProbeOptions probe;
};

/// As the launcher wants it: `plugin_paths` first, probes by the running executable, passes
/// remembered in the user's cache folder.
LoadOptions default_load_options(std::vector<std::filesystem::path> plugin_paths);

/// One line of `qtk list`.
struct PluginListing {
  std::filesystem::path file;
  std::string origin;                // of its root: "plugin path", "QTK_PLUGIN_PATH", "built in"
  std::optional<Manifest> manifest;  // nothing if the file is no plugin
  std::string problem;     // why it cannot be used; empty: it can, as far as its file shows
  bool is_hidden = false;  // another root holds the same kind and name, and comes first
};

/// Thread-safe.
class Registry {
 public:
  /// Sets where to look and how to probe; forgets what was found, but keeps what is open.
  void configure(LoadOptions options);

  /// Everything found, from manifests alone.
  std::vector<PluginListing> list();
  /// Opens the plugin if need be. `id` is its name, or the absolute path of its file.
  /// @throws PluginError that says which names are known and where they were looked for, or what is
  /// wrong with the file
  const PluginLibrary& find(std::string_view kind, std::string_view id);
  const OptionTable& option_table(std::string_view kind, std::string_view id) {
    return find(kind, id).options();
  }
  /// @param values  options that were given; checked against the table
  /// @throws what PluginLibrary::create() throws
  template <class Interface>
  PluginPtr<Interface> make(std::string_view id, const OptionValues& values, RunContext& context) {
    const PluginLibrary& library = find(detail::kind_of<Interface>(), id);
    require_device(library, context);
    return {static_cast<Interface*>(library.create(values, context)), PluginDeleter(library)};
  }

 private:
  void scan();
  FoundPlugin choose(std::string_view kind, std::string_view id);
  const FoundPlugin& first_of_its_name(const FoundPlugin& plugin) const;
  /// Another file of the same kind and name in the same root, or null.
  const FoundPlugin* duplicate_of(const FoundPlugin& plugin) const;
  /// Says that a damaged file stands before the chosen one in the search path.
  void warn_of_skipped(const FoundPlugin& chosen) const;
  [[noreturn]] void refuse_unknown(std::string_view kind, std::string_view id) const;
  const PluginLibrary& open(const FoundPlugin& plugin);
  /// @throws PluginError if the plugin has GPU code, but none for the run's device
  static void require_device(const PluginLibrary& library, const RunContext& context);

  std::mutex mutex_;
  LoadOptions options_;
  std::vector<PluginRoot> roots_;
  std::vector<FoundPlugin> found_;
  bool is_scanned_ = false;
  std::map<std::filesystem::path, const PluginLibrary*> open_;  // leaked on purpose
};

/// The process's own, leaked on purpose: plugins may log or hold objects while static objects are
/// being destroyed.
Registry& registry();

}  // namespace qtk::plugin
