// What a run's configuration must satisfy beyond each single value: rules over several fields and
// sections.
#pragma once

#include "config/run_config.hpp"

#include <initializer_list>
#include <string>
#include <vector>

namespace qtk::config {

/// In the order in which they run.
inline constexpr std::initializer_list<const char*> kStageNames = {
    "import", "calibrate", "train", "quantize", "eval", "export", "report"};
inline constexpr std::initializer_list<const char*> kGranularities = {"tensor", "layer",
                                                                      "component"};
inline constexpr std::initializer_list<const char*> kExportNames = {"hf-dense", "gguf",
                                                                    "compressed-tensors"};

/// What runs if `stages` is absent: every stage that has what it needs.
std::vector<std::string> stages_with_a_section(const RunConfig& config);

/// @param root  for the places of values
void check_rules(const RunConfig& config, const Node& root, Diagnostics& diagnostics);

}  // namespace qtk::config
