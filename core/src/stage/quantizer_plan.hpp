// Which quantizer, with which options, stands in the place of each linear layer.
#pragma once

#include "config/run_config.hpp"
#include "plugin/registry.hpp"

#include <qtk/api/linear_site.hpp>
#include <qtk/api/quantizer.hpp>

#include <nlohmann/json_fwd.hpp>

#include <memory>
#include <string>
#include <vector>

namespace qtk::stage {

/// One plugin object and the sites it serves: sites of equal options share it.
struct QuantizerGroup {
  config::Node options;  // complete, defaults included
  plugin::PluginPtr<Quantizer> quantizer;
  std::vector<int64_t> sites;
};

/// Sites that no group names stay dense.
struct QuantizerPlan {
  std::string plugin;  // id
  std::vector<QuantizerGroup> groups;

  /// The quantizer of a site, or null.
  Quantizer* quantizer_of(int64_t site) const;
  int64_t num_sites() const;
  /// "affine, bits 4, group_size 64": searchable options and what differs from the defaults, of the
  /// largest group.
  std::string description() const;

  /// As config.json of a packed model keeps it: plugin, groups of options and site names.
  nlohmann::json to_json(const std::vector<LinearSite>& sites) const;
};

/// Checks the options of every rule against the plugin's table, before any model is open.
void check_quantizer(const config::QuantizerSection& section, config::Diagnostics& diagnostics);

/// Sorts the sites into groups: targets without skip, then rules, of which the last match counts.
/// @throws ConfigError if nothing is targeted, or naming the sites whose shape the options do not
/// fit
QuantizerPlan plan_quantizers(const config::QuantizerSection& section,
                              const std::vector<LinearSite>& sites, RunContext& context);

/// The plan that to_json() described. @throws DataError naming the model's file if it does not fit
/// the sites
QuantizerPlan plan_from_json(const nlohmann::json& described, const std::string& file,
                             const std::vector<LinearSite>& sites, RunContext& context);

}  // namespace qtk::stage
