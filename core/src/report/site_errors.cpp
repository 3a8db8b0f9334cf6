#include "report/site_errors.hpp"

#include <algorithm>
#include <cmath>
#include <map>

namespace qtk::report {
namespace {

/// A key to order errors by, in which NaN counts as infinite.
double severity(const SiteError& site) {
  return std::isfinite(site.relative_error) ? site.relative_error : HUGE_VAL;
}

}  // namespace

double BlockErrors::mean() const {
  double sum = 0;
  for (const auto* site : sites) sum += site->relative_error;
  return sum / static_cast<double>(sites.size());
}

const SiteError& BlockErrors::worst() const {
  return **std::max_element(sites.begin(), sites.end(), [](const auto* a, const auto* b) {
    return severity(*a) < severity(*b);
  });
}

double RoleErrors::mean() const {
  double sum = 0;
  size_t count = 0;
  for (const auto& block : blocks) {
    for (const auto* site : block.sites) {
      if (!std::isfinite(site->relative_error)) continue;
      sum += site->relative_error;
      ++count;
    }
  }
  return count == 0 ? 0 : sum / static_cast<double>(count);
}

std::vector<RoleErrors> errors_by_role(const std::vector<SiteError>& sites) {
  std::vector<std::string> roles;
  std::map<std::string, std::map<int, BlockErrors>> by_role;
  for (const auto& site : sites) {
    if (site.block < 0) continue;
    if (!by_role.contains(site.role)) roles.push_back(site.role);
    auto& block = by_role[site.role][site.block];
    block.block = site.block;
    block.sites.push_back(&site);
  }
  std::vector<RoleErrors> grouped;
  for (const auto& role : roles) {
    grouped.push_back({role, {}});
    for (auto& [index, block] : by_role[role]) grouped.back().blocks.push_back(std::move(block));
  }
  return grouped;
}

std::vector<const SiteError*> worst_sites(const std::vector<SiteError>& sites, size_t count) {
  std::vector<const SiteError*> worst;
  for (const auto& site : sites) worst.push_back(&site);
  std::stable_sort(worst.begin(), worst.end(),
                   [](const auto* a, const auto* b) { return severity(*a) > severity(*b); });
  worst.resize(std::min(count, worst.size()));
  return worst;
}

double largest_error(const std::vector<SiteError>& sites) {
  double largest = 0;
  for (const auto& site : sites) {
    if (std::isfinite(site.relative_error)) largest = std::max(largest, site.relative_error);
  }
  return largest;
}

}  // namespace qtk::report
