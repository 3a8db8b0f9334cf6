#include "plugin/registry.hpp"

#include "base/logging.hpp"
#include "base/nearest_name.hpp"
#include "cuda/compute_capability.hpp"
#include "plugin/handshake.hpp"

#include <qtk/runtime/error.hpp>

#include <algorithm>

namespace qtk::plugin {
namespace {

bool is_plugin(const FoundPlugin& found, std::string_view kind, std::string_view id) {
  return found.manifest && found.manifest->kind == kind && found.manifest->name == id;
}

PluginName name_of(const FoundPlugin& plugin) {
  return {plugin.manifest->kind, plugin.manifest->name, plugin.file};
}

std::string duplicate_text(const FoundPlugin& plugin, const FoundPlugin& other) {
  return plugin.manifest->kind + " '" + plugin.manifest->name + "' is there twice in " +
         plugin.root.path.string() + ": " + other.file.string() + " and " + plugin.file.string();
}

FoundPlugin plugin_of_file(std::string_view kind, const std::filesystem::path& file) {
  std::error_code error;
  const auto canonical = std::filesystem::canonical(file, error);
  if (error)
    throw PluginError("cannot find the plugin file " + file.string() + ": " + error.message(),
                      "check the path");
  Manifest manifest = read_manifest(canonical);
  if (manifest.kind != kind)
    throw PluginError("plugin file " + canonical.string() + " holds the " + manifest.kind + " '" +
                          manifest.name + "', expected a " + std::string(kind),
                      "name a file of the right kind");
  return {canonical, {canonical, "path"}, std::move(manifest), {}};
}

std::string file_name(std::string_view kind, std::string_view id) {
  return "libqtk_" + std::string(kind) + "_" + std::string(id) + ".so";
}

/// Empty if the handshake allows the plugin.
std::string incompatibility(const FoundPlugin& plugin) {
  const Handshake handshake = compare(this_host(), *plugin.manifest);
  if (handshake.refusals.empty()) return {};
  const Mismatch& first = handshake.refusals.front();
  return "built for a different " + first.what + ": expected " + first.key + "=" + first.expected +
         ", found " + first.key + "=" + first.found;
}

}  // namespace

Registry& registry() {
  static auto* process_registry = new Registry;
  return *process_registry;
}

void Registry::configure(LoadOptions options) {
  const std::lock_guard lock(mutex_);
  options_ = std::move(options);
  is_scanned_ = false;
}

void Registry::scan() {
  if (is_scanned_) return;
  roots_ = search_roots(options_.plugin_paths);
  found_ = find_plugins(roots_);
  is_scanned_ = true;
  for (const FoundPlugin& plugin : found_)
    if (const FoundPlugin& first = first_of_its_name(plugin); first.root.path != plugin.root.path)
      core_log().debug(to_string(name_of(plugin)) + " is hidden file=" + plugin.file.string() +
                       " by=" + first.file.string());
}

std::vector<PluginListing> Registry::list() {
  const std::lock_guard lock(mutex_);
  scan();
  std::vector<PluginListing> listings;
  for (const FoundPlugin& plugin : found_) {
    PluginListing listing{plugin.file, plugin.root.origin, plugin.manifest, plugin.problem};
    if (plugin.manifest) {
      listing.is_hidden = first_of_its_name(plugin).root.path != plugin.root.path;
      const FoundPlugin* duplicate = duplicate_of(plugin);
      listing.problem = duplicate ? duplicate_text(plugin, *duplicate) : incompatibility(plugin);
    }
    listings.push_back(std::move(listing));
  }
  return listings;
}

const PluginLibrary& Registry::find(std::string_view kind, std::string_view id) {
  const std::lock_guard lock(mutex_);
  return open(id.starts_with('/') ? plugin_of_file(kind, id) : choose(kind, id));
}

const FoundPlugin& Registry::first_of_its_name(const FoundPlugin& plugin) const {
  if (!plugin.manifest) return plugin;
  return *std::ranges::find_if(found_, [&](const FoundPlugin& other) {
    return is_plugin(other, plugin.manifest->kind, plugin.manifest->name);
  });
}

const FoundPlugin* Registry::duplicate_of(const FoundPlugin& plugin) const {
  const auto other = std::ranges::find_if(found_, [&](const FoundPlugin& candidate) {
    return is_plugin(candidate, plugin.manifest->kind, plugin.manifest->name) &&
           candidate.root.path == plugin.root.path && candidate.file != plugin.file;
  });
  return other == found_.end() ? nullptr : &*other;
}

FoundPlugin Registry::choose(std::string_view kind, std::string_view id) {
  scan();
  const auto plugin = std::ranges::find_if(
      found_, [&](const FoundPlugin& candidate) { return is_plugin(candidate, kind, id); });
  if (plugin == found_.end()) refuse_unknown(kind, id);
  if (const FoundPlugin* other = duplicate_of(*plugin))
    throw PluginError(duplicate_text(*other, *plugin), "remove one of the two files");
  warn_of_skipped(*plugin);
  return *plugin;
}

void Registry::warn_of_skipped(const FoundPlugin& chosen) const {
  const std::string file = file_name(chosen.manifest->kind, chosen.manifest->name);
  for (const FoundPlugin& plugin : found_) {
    if (plugin.root.path == chosen.root.path) return;
    if (!plugin.manifest && plugin.file.filename() == file)
      core_log().warn(plugin.problem + "; " + chosen.file.string() + " is used instead");
  }
}

void Registry::refuse_unknown(std::string_view kind, std::string_view id) const {
  const std::string file = file_name(kind, id);
  std::vector<std::string> known;
  std::string hint;
  for (const FoundPlugin& plugin : found_) {
    // A file of the right name that holds no manifest is what the user means.
    if (!plugin.manifest && plugin.file.filename() == file)
      throw PluginError(plugin.problem, "build or install the plugin again");
    if (!plugin.manifest) continue;
    if (plugin.manifest->kind == kind)
      known.push_back(plugin.manifest->name);
    else if (plugin.manifest->name == id)
      hint = "; '" + std::string(id) + "' is a " + plugin.manifest->kind;
  }
  std::ranges::sort(known);
  known.erase(std::ranges::unique(known).begin(), known.end());
  if (const std::string nearest = nearest_name(id, known); hint.empty() && !nearest.empty())
    hint = "; did you mean '" + nearest + "'?";
  throw PluginError("unknown " + std::string(kind) + " '" + std::string(id) + "'" + hint +
                        "\n  known     " + (known.empty() ? "none" : join(known)) +
                        "\n  searched  " + searched_text(roots_),
                    "check the name, or add the plugin's folder to the plugin path");
}

const PluginLibrary& Registry::open(const FoundPlugin& plugin) {
  if (const auto known = open_.find(plugin.file); known != open_.end()) return *known->second;
  require_compatible(this_host(), name_of(plugin), *plugin.manifest);
  if (!plugin.root.is_built_in) require_probe(name_of(plugin), options_.probe);
  auto library = std::make_unique<PluginLibrary>(plugin.file, *plugin.manifest);
  library->describe();
  return *open_.emplace(plugin.file, library.release()).first->second;
}

void Registry::require_device(const PluginLibrary& library, const RunContext& context) {
  const auto architectures = library.manifest().build.find("cuda_archs");
  if (!context.device().is_cuda() || architectures == library.manifest().build.end() ||
      architectures->second == "none")
    return;
  const auto device = cuda::compute_capability(context.device().index());
  if (device && !runs_on(architectures->second, device->major, device->minor))
    throw plugin_error(library.name(),
                       "has GPU code for " + architectures->second +
                           ", but the device has compute capability " +
                           std::to_string(device->major) + "." + std::to_string(device->minor),
                       "rebuild the plugin with this architecture in QTK_CUDA_ARCHITECTURES");
}

LoadOptions default_load_options(std::vector<std::filesystem::path> plugin_paths) {
  std::error_code error;
  return {.plugin_paths = std::move(plugin_paths),
          .probe = {.executable = std::filesystem::read_symlink("/proc/self/exe", error),
                    .cache_folder = default_probe_cache()}};
}

}  // namespace qtk::plugin
