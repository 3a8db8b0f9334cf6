// The errors of a variant's sites, grouped as the page shows them.
#pragma once

#include "report/run_report.hpp"

#include <string>
#include <vector>

namespace qtk::report {

/// The sites that share a block and a role: one, or several where a block has experts.
struct BlockErrors {
  int block = 0;
  std::vector<const SiteError*> sites;  // in the report's order, never empty

  /// Mean relative error; not finite if one of them is not.
  double mean() const;
  /// The first of those with the largest error, one that is not finite before all others.
  const SiteError& worst() const;
};

struct RoleErrors {
  std::string role;
  std::vector<BlockErrors> blocks;  // ascending; blocks without such a site are absent

  /// Mean over the finite ones; 0 if there is none.
  double mean() const;
};

/// One entry a role in order of first appearance; sites outside the blocks (block < 0) are left
/// out.
std::vector<RoleErrors> errors_by_role(const std::vector<SiteError>& sites);

/// The `count` sites of the largest relative error, largest first; errors that are not finite come
/// before all others.
std::vector<const SiteError*> worst_sites(const std::vector<SiteError>& sites, size_t count);

/// The largest finite relative error; 0 if there is none.
double largest_error(const std::vector<SiteError>& sites);

}  // namespace qtk::report
