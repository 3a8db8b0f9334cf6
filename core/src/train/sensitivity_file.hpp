// sensitivity.json: what an estimator measured, and on what.
#pragma once

#include "train/work_journal.hpp"

#include <qtk/api/linear_site.hpp>
#include <qtk/api/sensitivity.hpp>

#include <nlohmann/json.hpp>

#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace qtk::train {

/// How a table came about; for people and reports.
struct SensitivityOrigin {
  std::string estimator;   // id
  nlohmann::json options;  // complete
  nlohmann::json granularity;
  PassCounts counts;
  std::vector<std::string> skipped;  // sites that were not to be measured
};

/// Numbers that JSON cannot hold (NaN, infinity) are written as null and read as NaN.
/// @throws IoError
void write_sensitivity(const std::filesystem::path& path, const SensitivityTable& table,
                       const SensitivityOrigin& origin);

/// @param model_fingerprint  of the model that is to be trained or searched; empty: any
/// @param sites  of that model; a row for another name is an error, a site without a row (and not
/// skipped on purpose) a warning
/// @throws DataError if the file is damaged, or belongs to another model
SensitivityTable read_sensitivity(const std::filesystem::path& path,
                                  const std::string& model_fingerprint,
                                  std::span<const LinearSite> sites);

}  // namespace qtk::train
