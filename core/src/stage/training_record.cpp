#include "stage/training_record.hpp"

#include "base/atomic_file.hpp"
#include "base/logging.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <limits>
#include <map>
#include <sstream>

namespace qtk::stage {
namespace {

using nlohmann::json;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

/// "model.layers.3.mlp.up_proj" -> 3: the first part that is a number; -1 if there is none.
int block_of(const std::string& site) {
  std::istringstream parts(site);
  for (std::string part; std::getline(parts, part, '.');) {
    int block = -1;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), block);
    if (error == std::errc() && end == part.data() + part.size()) return block;
  }
  return -1;
}

std::string role_of(const std::string& site) { return site.substr(site.rfind('.') + 1); }

double number_or_nan(const json& row, const char* key) {
  const auto found = row.find(key);
  return found != row.end() && found->is_number() ? found->get<double>() : kNaN;
}

}  // namespace

std::vector<report::MetricSeries> read_metrics(const std::filesystem::path& file) {
  std::map<std::string, report::MetricSeries> by_name;
  if (!std::filesystem::exists(file)) return {};
  std::istringstream lines(read_text_file(file));
  int64_t skipped = 0;
  for (std::string line; std::getline(lines, line);) {
    const json row = json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!row.is_object() || !row.contains("step") || !row["step"].is_number()) {
      ++skipped;
      continue;
    }
    for (const auto& [name, value] : row.items()) {
      if (name == "step" || (!value.is_number() && !value.is_null())) continue;
      auto& series = by_name[name];
      series.name = name;
      series.points.emplace_back(row["step"], value.is_number() ? value.get<double>() : kNaN);
    }
  }
  if (skipped > 0)
    core_log().warn(file.string() + ": " + std::to_string(skipped) + " lines are no metrics");
  std::vector<report::MetricSeries> all;
  for (auto& [name, series] : by_name) {
    std::ranges::stable_sort(series.points, {}, &std::pair<double, double>::first);
    all.push_back(std::move(series));
  }
  return all;
}

std::optional<report::Sensitivity> read_sensitivities(const std::filesystem::path& file) {
  if (!std::filesystem::exists(file)) return std::nullopt;
  try {
    const json content = json::parse(read_text_file(file));
    report::Sensitivity sensitivity{.quantity = content.value("quantity", ""),
                                    .estimator = content.value("estimator", "")};
    for (const auto& row : content.at("entries")) {
      const std::string site = row.at("site");
      sensitivity.sites.push_back({.site = site,
                                   .block = block_of(site),
                                   .role = role_of(site),
                                   .value = number_or_nan(row, "value"),
                                   .standard_error = number_or_nan(row, "standard_error")});
    }
    return sensitivity;
  } catch (const json::exception& error) {
    core_log().warn(file.string() + " is no sensitivity file: " + error.what());
    return std::nullopt;
  }
}

}  // namespace qtk::stage
