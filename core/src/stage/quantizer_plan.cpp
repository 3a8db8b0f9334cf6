#include "stage/quantizer_plan.hpp"

#include "config/emit.hpp"
#include "config/options.hpp"
#include "config/site_pattern.hpp"
#include "config/yaml_source.hpp"
#include "plugin/run_context.hpp"
#include "stage/options_json.hpp"

#include <qtk/runtime/error.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <set>

namespace qtk::stage {
namespace {

using config::Diagnostics;
using config::Node;
using nlohmann::json;

constexpr const char* kQuantizerKind = "quantizer";

std::string quantizer_name(const std::string& id) { return "quantizer `" + id + "`"; }

/// Options of the section with those of a rule laid over them.
Node options_with(const config::QuantizerSection& section, const config::SiteRule* rule) {
  Node options = section.options;
  if (rule) options.merge(rule->options);
  return options;
}

/// The rule that decides about a site: the last that matches, or null.
const config::SiteRule* rule_for(const std::vector<config::SiteRule>& rules,
                                 const std::vector<config::SitePattern>& patterns,
                                 const std::string& site) {
  for (size_t i = rules.size(); i-- > 0;)
    if (patterns[i].matches(site)) return &rules[i];
  return nullptr;
}

std::vector<config::SitePattern> patterns_of(const std::vector<config::SiteRule>& rules) {
  std::vector<std::string> texts;
  for (const auto& rule : rules) texts.push_back(rule.match);
  return config::compile_patterns(texts);
}

QuantizerGroup make_group(const std::string& id, const OptionTable& table, const Node& options,
                          const std::string& path, RunContext& context) {
  Diagnostics diagnostics;
  const OptionValues values =
      config::resolve_options(table, &options, path, quantizer_name(id), diagnostics);
  diagnostics.throw_if_any();
  return {config::options_node(table, values),
          plugin::registry().make<Quantizer>(id, values, context),
          {}};
}

/// Asks every group for the size of its sites, so that all misfits are reported before any work is
/// done.
void require_fit(const QuantizerPlan& plan, const std::vector<LinearSite>& sites) {
  std::string sentence, remedy;
  int64_t misfits = 0;
  for (const auto& group : plan.groups)
    for (const int64_t site : group.sites) try {
        group.quantizer->storage_bits(sites[static_cast<size_t>(site)]);
      } catch (const ConfigError& error) {
        if (misfits++ == 0) sentence = error.what(), remedy = error.remedy();
      }
  if (misfits > 0)
    throw ConfigError(sentence + " (" + std::to_string(misfits) +
                          (misfits == 1 ? " layer" : " layers") + " affected)",
                      remedy);
}

}  // namespace

Quantizer* QuantizerPlan::quantizer_of(int64_t site) const {
  for (const auto& group : groups)
    if (std::ranges::find(group.sites, site) != group.sites.end()) return group.quantizer.get();
  return nullptr;
}

int64_t QuantizerPlan::num_sites() const {
  int64_t count = 0;
  for (const auto& group : groups) count += static_cast<int64_t>(group.sites.size());
  return count;
}

std::string QuantizerPlan::description() const {
  if (groups.empty()) return plugin;
  const auto largest =
      std::ranges::max_element(groups, {}, [](const auto& group) { return group.sites.size(); });
  const OptionTable table = plugin::registry().option_table(kQuantizerKind, plugin);
  std::string text = plugin;
  for (const auto& spec : table.specs) {
    const Node* value = largest->options.find(spec.name);
    const bool is_default =
        value && config::to_yaml(*value) == config::to_yaml(config::value_node(spec.default_value));
    if (value && (!is_default || spec.searchable != Searchable::kNo))
      text += ", " + spec.name + " " + value->text();
  }
  if (groups.size() > 1) text += ", " + std::to_string(groups.size()) + " groups of layers";
  return text;
}

json QuantizerPlan::to_json(const std::vector<LinearSite>& sites) const {
  json described = {{"quant_method", "qtk"}, {"plugin", plugin}, {"groups", json::array()}};
  for (const auto& group : groups) {
    json names = json::array();
    for (const int64_t site : group.sites) names.push_back(sites[static_cast<size_t>(site)].name);
    described["groups"].push_back(
        {{"options", options_json(group.options)}, {"sites", std::move(names)}});
  }
  return described;
}

void check_quantizer(const config::QuantizerSection& section, Diagnostics& diagnostics) {
  OptionTable table;
  try {
    table = plugin::registry().option_table(kQuantizerKind, section.use);
  } catch (const PluginError& error) {
    diagnostics.error(config::located(error, section.mark, section.path + ".use"));
    return;
  }
  const auto check = [&](const Node& options, const std::string& path) {
    const auto values = config::resolve_options(table, &options, path + ".options",
                                                quantizer_name(section.use), diagnostics);
    if (!diagnostics.ok()) return;
    try {  // rules over several fields are the plugin's own; making an object runs them
      plugin::CoreRunContext context{plugin::RunContextInit{}};
      plugin::registry().make<Quantizer>(section.use, values, context);
    } catch (const ConfigError& error) {
      diagnostics.error(config::located(error, options.mark(), path + ".options"));
    }
  };
  check(section.options, section.path);
  for (const auto& rule : section.rules) check(options_with(section, &rule), rule.path);
}

QuantizerPlan plan_quantizers(const config::QuantizerSection& section,
                              const std::vector<LinearSite>& sites, RunContext& context) {
  const auto targets = config::compile_patterns(section.targets),
             skipped = config::compile_patterns(section.skip);
  const auto patterns = patterns_of(section.rules);
  const OptionTable table = plugin::registry().option_table(kQuantizerKind, section.use);
  QuantizerPlan plan{section.use, {}};
  std::map<std::string, size_t> group_of;
  for (const auto& site : sites) {
    if (!config::any_matches(targets, site.name) || config::any_matches(skipped, site.name))
      continue;
    const config::SiteRule* rule = rule_for(section.rules, patterns, site.name);
    const Node options = options_with(section, rule);
    const auto [known, is_new] = group_of.try_emplace(config::to_yaml(options), plan.groups.size());
    if (is_new)
      plan.groups.push_back(make_group(section.use, table, options,
                                       (rule ? rule->path : section.path) + ".options", context));
    plan.groups[known->second].sites.push_back(site.index);
  }
  if (plan.groups.empty())
    throw ConfigError(
        "quantizer.targets and quantizer.skip leave no linear layer of the " +
            std::to_string(sites.size()) + " to quantize",
        "a target is a full name or re:<expression>; `qtk inspect --model DIR` lists the names");
  require_fit(plan, sites);
  return plan;
}

QuantizerPlan plan_from_json(const json& described, const std::string& file,
                             const std::vector<LinearSite>& sites, RunContext& context) {
  std::map<std::string, int64_t> index_of;
  for (const auto& site : sites) index_of[site.name] = site.index;
  const auto damaged = [&](const std::string& what) {
    return DataError(file + ": quantization_config " + what,
                     "make the packed model again with `qtk run`");
  };
  if (!described.contains("plugin") || !described["plugin"].is_string() ||
      !described.contains("groups") || !described["groups"].is_array())
    throw damaged("lacks plugin or groups");
  QuantizerPlan plan{described["plugin"], {}};
  const OptionTable table = plugin::registry().option_table(kQuantizerKind, plan.plugin);
  std::set<int64_t> taken;
  for (const auto& group : described["groups"]) {
    if (!group.is_object() || !group.contains("options") || !group.contains("sites") ||
        !group["sites"].is_array())
      throw damaged("has a group without options or sites");
    try {
      Diagnostics diagnostics;
      const auto options = config::parse_yaml(group["options"].dump(), {.file = file}, diagnostics);
      diagnostics.throw_if_any();
      plan.groups.push_back(make_group(plan.plugin, table, options.value_or(Node::map()),
                                       "quantization_config", context));
    } catch (const ConfigError& error) {
      const std::string sentence = error.what();
      throw damaged("has options that do not fit: " + sentence.substr(0, sentence.find('\n')));
    }
    for (const auto& name : group["sites"]) {
      const auto known = name.is_string() ? index_of.find(name.get<std::string>()) : index_of.end();
      if (known == index_of.end())
        throw damaged("names the layer " + name.dump() + ", which the model does not have");
      if (!taken.insert(known->second).second)
        throw damaged("names the layer " + name.dump() + " twice");
      plan.groups.back().sites.push_back(known->second);
    }
  }
  return plan;
}

}  // namespace qtk::stage
