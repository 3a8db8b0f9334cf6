#include "train/sensitivity_file.hpp"

#include "base/atomic_file.hpp"
#include "base/logging.hpp"
#include "base/nearest_name.hpp"

#include <qtk/runtime/error.hpp>

#include <cmath>
#include <limits>
#include <set>

namespace qtk::train {
namespace {

using nlohmann::json;

constexpr int kSensitivityFormat = 1;
constexpr const char* kMeasureAgain = "measure again with the stage `calibrate`";

json number(double value) { return std::isfinite(value) ? json(value) : json(nullptr); }

double number_from(const json& value) {
  return value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>();
}

json entry_json(const SensitivityEntry& entry) {
  json row = {{"site", entry.site},
              {"value", number(entry.value)},
              {"standard_error", number(entry.standard_error)},
              {"sampling_error", number(entry.sampling_error)},
              {"num_parameters", entry.num_parameters},
              {"flags", entry.flags}};
  if (!entry.group.empty()) row["group"] = entry.group;
  return row;
}

SensitivityEntry entry_from(const json& row) {
  return {.site = row.at("site"),
          .value = number_from(row.at("value")),
          .standard_error = number_from(row.at("standard_error")),
          .num_parameters = row.at("num_parameters"),
          .sampling_error = number_from(row.at("sampling_error")),
          .flags = row.at("flags"),
          .group = row.value("group", "")};
}

/// "a, b, c and 4 more"
std::string listed(const std::vector<std::string>& names) {
  constexpr size_t kShown = 8;
  if (names.size() <= kShown) return join(names);
  return join({names.begin(), names.begin() + kShown}) + " and " +
         std::to_string(names.size() - kShown) + " more";
}

struct Parsed {
  SensitivityTable table;
  std::set<std::string> skipped;
};

Parsed parse(const std::filesystem::path& path) {
  const json content = json::parse(read_text_file(path), nullptr, /*allow_exceptions=*/false);
  try {
    if (content.at("format") != kSensitivityFormat)
      throw DataError(path.string() + " has format " + content.at("format").dump() + ", expected " +
                          std::to_string(kSensitivityFormat),
                      kMeasureAgain);
    Parsed parsed{{.quantity = content.at("quantity"),
                   .model_fingerprint = content.at("model"),
                   .data_fingerprint = content.at("data")},
                  content.at("skipped")};
    for (const auto& row : content.at("entries")) parsed.table.entries.push_back(entry_from(row));
    return parsed;
  } catch (const json::exception& error) {
    throw DataError(path.string() + " is no sensitivity file: " + error.what(), kMeasureAgain);
  }
}

void check_sites(const std::filesystem::path& path, const Parsed& parsed,
                 std::span<const LinearSite> sites) {
  std::set<std::string> known, measured;
  for (const auto& site : sites) known.insert(site.name);
  std::vector<std::string> unknown, missing;
  for (const auto& entry : parsed.table.entries) {
    if (!measured.insert(entry.site).second)
      throw DataError(path.string() + " has two rows for " + entry.site, kMeasureAgain);
    if (!known.contains(entry.site)) unknown.push_back(entry.site);
  }
  if (!unknown.empty())
    throw DataError(
        path.string() + " names layers that the model does not have: " + listed(unknown),
        kMeasureAgain);
  for (const auto& site : sites)
    if (!measured.contains(site.name) && !parsed.skipped.contains(site.name))
      missing.push_back(site.name);
  if (!missing.empty())
    core_log().warn(path.string() + " has no value for " + std::to_string(missing.size()) +
                    (missing.size() == 1 ? " layer: " : " layers: ") + listed(missing));
}

}  // namespace

void write_sensitivity(const std::filesystem::path& path, const SensitivityTable& table,
                       const SensitivityOrigin& origin) {
  json entries = json::array();
  for (const auto& entry : table.entries) entries.push_back(entry_json(entry));
  const json content = {{"format", kSensitivityFormat},
                        {"quantity", table.quantity},
                        {"estimator", origin.estimator},
                        {"options", origin.options},
                        {"granularity", origin.granularity},
                        {"model", table.model_fingerprint},
                        {"data", table.data_fingerprint},
                        {"gradient_passes", origin.counts.gradient_passes},
                        {"hessian_products", origin.counts.hessian_products},
                        {"skipped", origin.skipped},
                        {"entries", std::move(entries)}};
  write_file_atomically(path, content.dump(1) + "\n");
}

SensitivityTable read_sensitivity(const std::filesystem::path& path,
                                  const std::string& model_fingerprint,
                                  std::span<const LinearSite> sites) {
  Parsed parsed = parse(path);
  if (!model_fingerprint.empty() && parsed.table.model_fingerprint != model_fingerprint)
    throw DataError(path.string() + " was measured on the model with fingerprint " +
                        parsed.table.model_fingerprint + ", but this model has " +
                        model_fingerprint,
                    std::string(kMeasureAgain) + ", or name the model that it belongs to");
  check_sites(path, parsed, sites);
  return std::move(parsed.table);
}

}  // namespace qtk::train
