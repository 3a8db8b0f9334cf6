// One plugin file, opened. Never closed: objects, autograd nodes, deleters and thread-local
// destructors of a plugin may outlive everything that we know of.
#pragma once

#include "plugin/manifest.hpp"
#include "plugin/plugin_name.hpp"

#include <qtk/options/option_value.hpp>
#include <qtk/runtime/run_context.hpp>

#include <filesystem>

namespace qtk {
struct PluginDescriptor;
}

namespace qtk::plugin {

/// Immutable after describe(), then thread-safe.
class PluginLibrary {
 public:
  /// Opens the file (all symbols at once, none visible to other libraries) and holds its descriptor
  /// against the manifest. @param file  absolute. @throws PluginError
  PluginLibrary(const std::filesystem::path& file, Manifest manifest);

  /// Asks the plugin for its options and holds them against the rules of OptionSpec. Call once,
  /// before the rest.
  /// @throws PluginError
  void describe();

  const PluginName& name() const { return name_; }
  const Manifest& manifest() const { return manifest_; }
  const OptionTable& options() const { return options_; }

  /// Makes an object of the plugin's interface, to be given back to destroy(). Never null.
  /// @param values  checked here against the option table
  /// @throws Error of the family that the plugin threw, naming plugin and file; ConfigError for bad
  /// values
  void* create(const OptionValues& values, RunContext& context) const;
  void destroy(void* object) const noexcept;

 private:
  void check_descriptor() const;

  PluginName name_;
  Manifest manifest_;
  const PluginDescriptor* descriptor_ = nullptr;  // in the library
  OptionTable options_;
};

}  // namespace qtk::plugin
