// A plugin's first opening happens in a child process: what a file does while it is opened (crash,
// hang, call exit) then happens to the child. Only a success record that the child writes at its
// very end counts, never its exit code.
//
// A pass is remembered by the content of the file and of our own libqtk.so; a failure is not, since
// its cause may lie outside of the file (a library that is missing today).
#pragma once

#include "plugin/manifest.hpp"
#include "plugin/plugin_name.hpp"

#include <chrono>
#include <filesystem>

namespace qtk::plugin {

struct ProbeOptions {
  /// Started as `<executable> plugin-probe FILE`; its main passes FILE to run_probe(). Empty: no
  /// probes.
  std::filesystem::path executable;
  std::chrono::milliseconds limit{10'000};
  /// Where passes are remembered. Empty: nowhere.
  std::filesystem::path cache_folder;
};

/// ${XDG_CACHE_HOME:-~/.cache}/qtk/probes, or empty if neither variable names an absolute folder.
std::filesystem::path default_probe_cache();

/// Opens `name.file` in a child, unless it is known to have passed.
/// @throws PluginError with the symbol that is missing, the signal that ended the child, or that it
/// called exit, hung
///         or was quarantined because earlier probes never came to an end
void require_probe(const PluginName& name, const ProbeOptions& options);

/// The child's side: opens and describes the plugin, constructs it once with its default options,
/// and writes the record to descriptor 3. @returns the exit code of the process
int run_probe(const std::filesystem::path& file);

}  // namespace qtk::plugin
