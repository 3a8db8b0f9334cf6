// Options of plugins as JSON, for the files that record them.
#pragma once

#include "config/node.hpp"

#include <nlohmann/json.hpp>

namespace qtk::stage {

/// Quoted scalars become text, plain ones what JSON reads them as.
nlohmann::json options_json(const config::Node& node);

}  // namespace qtk::stage
