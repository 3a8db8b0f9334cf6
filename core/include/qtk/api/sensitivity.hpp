// What an estimator measured: read by schedulers and searches, stored as sensitivity.json.
#pragma once

#include <qtk/runtime/export.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qtk {

/// One row. Values are as measured: a trace may be negative or NaN, and a site may have no row;
/// whoever reads decides what that means.
struct SensitivityEntry {
  std::string site;            // LinearSite::name
  double value = 0;            // trace, gradient norm, ... (see SensitivityTable::quantity)
  double standard_error = 0;   // of value, from random probes; 0 if there are none
  int64_t num_parameters = 0;  // behind value; for the mean of a group, the mean of its members
  /// Standard error from the choice of calibration samples, probes included; 0 if unknown.
  double sampling_error = 0;
  /// What a reader should know: "negative", "not_finite", "target_error_missed".
  std::vector<std::string> flags = {};
  /// The group that shares the value: "layer 3", "q_proj", a pattern; empty if it is the site's
  /// own.
  std::string group = {};
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
