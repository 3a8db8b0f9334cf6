// What training and calibration left in a run folder, for the report. Both files are read for
// people to look at, so that what cannot be read is left out with a warning instead of failing a
// run that is otherwise done.
#pragma once

#include "report/run_report.hpp"

#include <filesystem>
#include <optional>
#include <vector>

namespace qtk::stage {

/// Every number of metrics.jsonl by its name; null is not a number (NaN). Lines that are no JSON
/// object with a `step` (the last one after a crash) are skipped. Empty if there is no file.
std::vector<report::MetricSeries> read_metrics(const std::filesystem::path& file);

/// sensitivity.json. Nothing if there is no such file or it is no such file.
std::optional<report::Sensitivity> read_sensitivities(const std::filesystem::path& file);

}  // namespace qtk::stage
