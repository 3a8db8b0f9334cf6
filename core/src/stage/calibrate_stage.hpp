// calibrate: how sensitive the loss is to every site, measured by an estimator or read from the
// file of another run, as stages/calibrate/sensitivity.json.
#pragma once

#include "config/run_config.hpp"

namespace qtk::stage {

/// Checks the estimator's options against its table, before any model is open.
void check_estimator(const config::EstimatorSection& section, config::Diagnostics& diagnostics);

}  // namespace qtk::stage
