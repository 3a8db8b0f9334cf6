// What an estimator measured: read by schedulers and searches, stored as sensitivity.json.
#pragma once

#include <qtk/runtime/export.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qtk {

/// One row: a site or a group of sites that share a value.
struct SensitivityEntry {
  std::string site;            // LinearSite::name
  double value = 0;            // trace, squared gradient norm, ... (see SensitivityTable::quantity)
  double standard_error = 0;   // of value; 0 if exact
  int64_t num_parameters = 0;  // behind value
};

struct QTK_API SensitivityTable {
  std::string quantity;           // "hessian_trace", "fisher_trace", "gradient_norm"
  std::string model_fingerprint;  // refuses to be used with another model
  std::string data_fingerprint;
  std::vector<SensitivityEntry> entries;

  /// The entry of a site, or nothing.
  std::optional<SensitivityEntry> find(std::string_view site) const;
};

}  // namespace qtk
