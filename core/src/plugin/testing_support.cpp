// The half of qtk/testing that needs the inside of core.
#include "plugin/registry.hpp"
#include "plugin/run_context.hpp"

#include <qtk/testing/plugin_under_test.hpp>

#include <ATen/ATen.h>
#include <yaml-cpp/yaml.h>

#include <map>
#include <mutex>

namespace qtk::testing {
namespace {

using plugin::PluginLibrary;
using plugin::Registry;

/// One for each plugin folder, leaked like the process's own. Probes are off: a plugin that crashes
/// its test has failed it, and a test program knows no verb `plugin-probe`.
Registry& registry_of(const std::string& folder) {
  static auto* mutex = new std::mutex;
  static auto* registries = new std::map<std::string, Registry*>;
  const std::lock_guard lock(*mutex);
  const auto [place, is_new] = registries->emplace(folder, nullptr);
  if (is_new) {
    place->second = new Registry;
    plugin::LoadOptions options;
    if (!folder.empty()) options.plugin_paths = {folder};
    place->second->configure(std::move(options));
  }
  return *place->second;
}

const PluginLibrary& library_of(const PluginUnderTest& plugin) {
  return registry_of(plugin.folder).find(plugin.kind, plugin.id);
}

template <class T>
std::vector<T> list_of(const YAML::Node& node) {
  std::vector<T> values;
  for (const YAML::Node& item : node) values.push_back(item.as<T>());
  return values;
}

OptionValue read_value(const OptionSpec& spec, const YAML::Node& node) {
  switch (spec.type) {
    case OptionType::kBool:
      return node.as<bool>();
    case OptionType::kInt:
      return node.as<int64_t>();
    case OptionType::kReal:
      return node.as<double>();
    case OptionType::kText:
      return node.as<std::string>();
    case OptionType::kIntList:
      return list_of<int64_t>(node);
    case OptionType::kRealList:
      return list_of<double>(node);
    case OptionType::kTextList:
      return list_of<std::string>(node);
  }
  return {};
}

/// @param path  "quantizer.options"
OptionValues resolve(const OptionTable& table, std::string_view yaml, const std::string& path) {
  OptionValues values;
  for (const auto& entry : YAML::Load(std::string(yaml))) {
    const auto name = entry.first.as<std::string>();
    const std::string where =
        path + "." + name + " (line " + std::to_string(entry.first.Mark().line + 1) + ")";
    const OptionSpec* spec = table.find(name);
    if (!spec) throw ConfigError(where + ": unknown option");
    try {
      values[name] = read_value(*spec, entry.second);
    } catch (const YAML::Exception&) {
      throw ConfigError(where + " is not a " + option_type_name(spec->type));
    }
    if (const std::string violation = option_violation(*spec, values[name]); !violation.empty())
      throw ConfigError(where + " = " + option_value_text(values[name]) + " " + violation);
  }
  return values;
}

}  // namespace

const OptionTable& option_table(const PluginUnderTest& plugin) {
  return library_of(plugin).options();
}

OptionValues parse_options(const PluginUnderTest& plugin, std::string_view yaml) {
  return resolve(option_table(plugin), yaml, plugin.kind + ".options");
}

std::shared_ptr<void> create(const PluginUnderTest& plugin, const OptionValues& values) {
  const PluginLibrary& library = library_of(plugin);
  return {library.create(values, cpu_context()),
          [&library](void* object) { library.destroy(object); }};
}

std::string kind_of_plugin(const std::string& id, const std::string& folder) {
  std::string kind;
  for (const plugin::PluginListing& listing : registry_of(folder).list()) {
    if (!listing.manifest || listing.manifest->name != id || listing.manifest->kind == kind)
      continue;
    if (!kind.empty())
      throw PluginError("'" + id + "' is a " + kind + " and a " + listing.manifest->kind);
    kind = listing.manifest->kind;
  }
  if (kind.empty()) throw PluginError("no plugin has the id '" + id + "'");
  return kind;
}

at::Tensor gaussian(std::initializer_list<int64_t> shape, uint64_t seed) {
  at::Tensor tensor = at::empty(at::IntArrayRef(shape.begin(), shape.size()), at::kFloat);
  RandomStream({.seed = seed, .purpose = "testing.gaussian"}).fill_normal(tensor);
  return tensor;
}

RunContext& cpu_context() {
  static auto* context = new plugin::CoreRunContext({.component = "test"});
  return *context;
}

}  // namespace qtk::testing
