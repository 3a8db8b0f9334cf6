// JSON Schema (draft 2020-12) for editors, made from the same tables that read the configuration.
#pragma once

#include "config/section.hpp"

#include <qtk/options/option_value.hpp>

#include <span>
#include <string>

namespace qtk::config {

/// A plugin whose options an editor should know.
struct PluginTable {
  std::string kind;  // "quantizer"
  std::string id;
  OptionTable options;
};

/// The options of one plugin: an object with one property per option.
std::string options_schema(const OptionTable& table);

/// The configuration of a run. Where a section names one of `plugins` by `use:`, its options are
/// checked too.
std::string run_schema(std::span<const PluginTable> plugins = {});

}  // namespace qtk::config
