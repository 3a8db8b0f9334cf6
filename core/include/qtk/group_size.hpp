// Groups of input channels that share a scale: what every quantizer with groups says when they do
// not fit.
#pragma once

#include <qtk/api/linear_site.hpp>
#include <qtk/runtime/error.hpp>

#include <cstdint>
#include <string>

namespace qtk {

/// "32, 64, 96": the usual group sizes that divide `columns`.
inline std::string dividing_group_sizes(int64_t columns) {
  std::string text;
  for (int64_t group = 32; group <= 256; group += 32)
    if (columns % group == 0) text += (text.empty() ? "" : ", ") + std::to_string(group);
  return text.empty() ? "-1 (one scale per output channel)" : text;
}

/// @param group_size  above 0. @throws ConfigError if it does not divide the site's columns
inline void require_dividing_group(const LinearSite& site, int64_t group_size) {
  if (site.in_features % group_size != 0)
    throw ConfigError("group_size " + std::to_string(group_size) + " does not divide the " +
                          std::to_string(site.in_features) + " columns of " + site.name,
                      "try " + dividing_group_sizes(site.in_features));
}

}  // namespace qtk
