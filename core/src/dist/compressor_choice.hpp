// Compressors as a command line names them: "fixpoint:bits=4:scale=token".
#pragma once

#include "plugin/registry.hpp"

#include <qtk/api/compressor.hpp>
#include <qtk/options/option_value.hpp>

#include <string>
#include <vector>

namespace qtk::dist {

struct CompressorChoice {
  std::string label;  // as it was given, or the plugin's name
  std::string use;    // the plugin
  OptionValues options;
};

/// Name of a plugin and, after colons, options as KEY=VALUE; values are YAML.
/// @throws PluginError for an unknown name, with the nearest known one; ConfigError for faulty
/// options
CompressorChoice compressor_choice(const std::string& text);

/// Several, separated by commas outside of brackets.
std::vector<CompressorChoice> compressor_choices(const std::string& text);

/// Every compressor plugin that was found and can be used, with its default options, by name.
std::vector<CompressorChoice> found_compressors();

/// @param context  outlives it
plugin::PluginPtr<Compressor> make_compressor(const CompressorChoice& choice, RunContext& context);

}  // namespace qtk::dist
