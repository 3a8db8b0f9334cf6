#include "train/sensitivity_groups.hpp"

#include <qtk/runtime/check.hpp>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <vector>

namespace qtk::train {
namespace {

const LinearSite& site_named(std::span<const LinearSite> sites, const std::string& name) {
  const auto site = std::ranges::find(sites, name, &LinearSite::name);
  QTK_CHECK(site != sites.end(), "the table has a row for ", name, ", which is no site");
  return *site;
}

/// The row that all members share, but for their names.
SensitivityEntry mean_of(const std::vector<const SensitivityEntry*>& members) {
  SensitivityEntry mean;
  double parameters = 0, squared_errors = 0, squared_sampling_errors = 0;
  std::set<std::string> flags;
  for (const auto* member : members) {
    mean.value += member->value;
    squared_errors += member->standard_error * member->standard_error;
    squared_sampling_errors += member->sampling_error * member->sampling_error;
    parameters += static_cast<double>(member->num_parameters);
    flags.insert(member->flags.begin(), member->flags.end());
  }
  const auto count = static_cast<double>(members.size());
  mean.value /= count;
  mean.standard_error = std::sqrt(squared_errors) / count;
  mean.sampling_error = std::sqrt(squared_sampling_errors) / count;
  mean.num_parameters = std::llround(parameters / count);
  if (!(mean.value < 0)) flags.erase("negative");
  if (mean.value < 0) flags.insert("negative");
  mean.flags.assign(flags.begin(), flags.end());
  return mean;
}

}  // namespace

SensitivityTable grouped(const SensitivityTable& table, std::span<const LinearSite> sites,
                         const GroupOf& group_of) {
  std::map<std::string, std::vector<const SensitivityEntry*>> members;
  for (const auto& entry : table.entries)
    if (const auto group = group_of(site_named(sites, entry.site)); !group.empty())
      members[group].push_back(&entry);
  SensitivityTable result = table;
  for (auto& entry : result.entries) {
    const auto group = group_of(site_named(sites, entry.site));
    if (group.empty()) continue;
    const std::string site = entry.site;
    entry = mean_of(members.at(group));
    entry.site = site;
    entry.group = group;
  }
  return result;
}

}  // namespace qtk::train
