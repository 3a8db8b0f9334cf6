// Sites that share a sensitivity.
#pragma once

#include <qtk/api/linear_site.hpp>
#include <qtk/api/sensitivity.hpp>

#include <functional>
#include <span>
#include <string>

namespace qtk::train {

/// Name of the group of a site; empty: it stands alone.
using GroupOf = std::function<std::string(const LinearSite& site)>;

/// Gives every row the mean over all rows of its group: of the values, and of the numbers of
/// parameters, so that value / num_parameters is the mean over the group's parameters. The standard
/// error of the mean of n values is sqrt(sum of their squares) / n: exact where sites were probed
/// independently, and a lower bound where one random vector served several sites. A value that is
/// not finite makes its group's so. Flags are those of the mean, and what any member missed.
/// @param sites  hold every row's site
SensitivityTable grouped(const SensitivityTable& table, std::span<const LinearSite> sites,
                         const GroupOf& group_of);

}  // namespace qtk::train
