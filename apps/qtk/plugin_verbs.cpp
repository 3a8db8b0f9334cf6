// qtk list, qtk describe, qtk schema, and the hidden plugin-probe
#include "command_line.hpp"
#include "verb.hpp"

#include "base/nearest_name.hpp"
#include "config/describe.hpp"
#include "config/schema.hpp"
#include "plugin/probe.hpp"
#include "plugin/registry.hpp"

#include <qtk/runtime/error.hpp>

#include <nlohmann/json.hpp>

#include <cstdio>
#include <iostream>

namespace qtk::app {
namespace {

namespace po = boost::program_options;
using nlohmann::json;
using plugin::PluginListing;

void configure(const CommandLine& line) {
  std::vector<std::filesystem::path> paths;
  for (const auto& path : line.texts("plugin-path")) paths.emplace_back(path);
  plugin::registry().configure(plugin::default_load_options(paths));
}

void add_common_flags(CommandLine& line) {
  line.flags()("plugin-path", po::value<std::vector<std::string>>()->composing(),
               "folder with plugins, searched first; repeatable")("json", "JSON on stdout");
}

json listing_json(const PluginListing& listing) {
  json entry = {{"file", listing.file.string()}, {"origin", listing.origin}, {"problem", listing.problem}};
  if (const auto& m = listing.manifest)
    entry.update({{"kind", m->kind},       {"name", m->name},   {"version", m->version},
                  {"summary", m->summary}, {"paper", m->paper}, {"build", m->build}});
  return entry;
}

/// Kind of the plugin called `name`. @throws ConfigError if there is none, or several of different kinds
std::string kind_of(const std::string& name) {
  std::vector<std::string> kinds, names;
  for (const auto& listing : plugin::registry().list()) {
    if (!listing.manifest || listing.is_hidden) continue;
    names.push_back(listing.manifest->name);
    if (listing.manifest->name == name) kinds.push_back(listing.manifest->kind);
  }
  if (kinds.size() == 1) return kinds[0];
  if (kinds.size() > 1)
    throw ConfigError("'" + name + "' is the name of several plugins: " + join(kinds), "add --kind");
  const std::string nearest = nearest_name(name, names);
  throw ConfigError("unknown plugin '" + name + "'" + (nearest.empty() ? "" : "; did you mean '" + nearest + "'?"),
                    "known: " + join(names));
}

json option_json(const OptionSpec& spec) {
  json entry = {{"name", spec.name}, {"type", option_type_name(spec.type)}, {"doc", spec.doc},
                {"default", option_value_text(spec.default_value)}};
  if (!spec.unit.empty()) entry["unit"] = spec.unit;
  if (spec.lower) entry["minimum"] = *spec.lower;
  if (spec.upper) entry["maximum"] = *spec.upper;
  for (const auto& choice : spec.choices) entry["choices"].push_back(option_value_text(choice));
  if (!spec.paper.empty()) entry["paper"] = spec.paper;
  if (!spec.original_flag.empty()) entry["original_flag"] = spec.original_flag;
  if (!spec.deprecated.empty()) entry["deprecated"] = spec.deprecated;
  entry["searchable"] = spec.searchable != Searchable::kNo;
  return entry;
}

void print_description(const plugin::PluginLibrary& library) {
  const auto& m = library.manifest();
  std::cout << m.kind << " " << m.name << " " << m.version << " -- " << m.summary << "\n";
  if (!m.paper.empty()) std::cout << "paper  " << m.paper << "\n";
  std::cout << "file   " << library.name().file.string() << "\n" << config::describe_options(library.options());
}

void print_yaml(const plugin::PluginLibrary& library) {
  const auto& m = library.manifest();
  std::cout << "# " << m.kind << " " << m.name << " " << m.version << ": " << m.summary << "\n"
            << m.kind << ":\n  use: " << m.name << "\n  options:\n"
            << config::options_yaml(library.options(), 4);
}

}  // namespace

int list(Arguments arguments) {
  CommandLine line("qtk list [KIND] [--json]", "Lists the plugins that were found, without opening them.",
                   "qtk list quantizer");
  add_common_flags(line);
  line.flags()("kind", po::value<std::string>()->default_value(""), "quantizer, scheduler, estimator, search or comm");
  line.positional("kind");
  line.parse(arguments);
  const std::string kind = line.text("kind");
  const auto kinds = plugin::plugin_kinds();
  if (!kind.empty() && std::ranges::find(kinds, kind) == kinds.end())
    throw ConfigError("unknown kind '" + kind + "'", "known: " + join(kinds));
  configure(line);
  json entries = json::array();
  for (const auto& listing : plugin::registry().list()) {
    if (!kind.empty() && (!listing.manifest || listing.manifest->kind != kind)) continue;
    entries.push_back(listing_json(listing));
    if (line.has("json")) continue;
    if (const auto& m = listing.manifest)
      std::printf("%-10s %-16s %-8s %-12s %s%s\n", m->kind.c_str(), m->name.c_str(), m->version.c_str(),
                  listing.is_hidden ? "hidden" : listing.origin.c_str(), m->summary.c_str(),
                  listing.problem.empty() ? "" : (" [unusable: " + listing.problem + "]").c_str());
    else
      std::printf("%s [not a plugin: %s]\n", listing.file.c_str(), listing.problem.c_str());
  }
  if (line.has("json")) std::cout << entries.dump(2) << "\n";
  return 0;
}

int describe(Arguments arguments) {
  CommandLine line("qtk describe NAME [--kind KIND] [--yaml | --schema | --json]",
                   "Shows the options of a plugin; `qtk describe run` those of the configuration itself.",
                   "qtk describe affine --yaml");
  add_common_flags(line);
  line.flags()("name", po::value<std::string>(), "plugin, or `run`")(
      "kind", po::value<std::string>()->default_value(""), "if several kinds have a plugin of this name")(
      "yaml", "a commented piece of configuration")("schema", "JSON Schema of the options");
  line.positional("name");
  line.parse(arguments);
  const std::string name = line.required("name");
  if (name == "run") {
    std::cout << config::describe_run();
    return 0;
  }
  configure(line);
  const std::string kind = line.text("kind").empty() ? kind_of(name) : line.text("kind");
  const auto& library = plugin::registry().find(kind, name);
  if (line.has("json")) {
    json options = json::array();
    for (const auto& spec : library.options().specs) options.push_back(option_json(spec));
    const auto& m = library.manifest();
    std::cout << json{{"kind", m.kind},   {"name", m.name},   {"version", m.version}, {"summary", m.summary},
                      {"paper", m.paper}, {"file", library.name().file.string()}, {"options", options}}.dump(2) << "\n";
  } else if (line.has("schema")) {
    std::cout << config::options_schema(library.options()) << "\n";
  } else if (line.has("yaml")) {
    print_yaml(library);
  } else {
    print_description(library);
  }
  return 0;
}

int schema(Arguments arguments) {
  CommandLine line("qtk schema", "JSON Schema of the configuration, with the options of all plugins found.",
                   "qtk schema > qtk.schema.json");
  add_common_flags(line);
  line.parse(arguments);
  configure(line);
  std::vector<config::PluginTable> tables;
  for (const auto& listing : plugin::registry().list())
    if (listing.manifest && listing.problem.empty() && !listing.is_hidden)
      tables.push_back({listing.manifest->kind, listing.manifest->name,
                        plugin::registry().option_table(listing.manifest->kind, listing.manifest->name)});
  std::cout << config::run_schema(tables) << "\n";
  return 0;
}

int probe_plugin(Arguments arguments) {
  if (arguments.size() != 1) throw ConfigError("plugin-probe takes one file", "this verb is for qtk itself");
  return plugin::run_probe(arguments[0]);
}

}  // namespace qtk::app
