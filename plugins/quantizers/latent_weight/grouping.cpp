#include "latent_weight/grouping.hpp"

#include <qtk/runtime/error.hpp>

#include <string>

namespace qtk::latent {
namespace {

/// "32, 64, 96": the usual group sizes that divide `columns`.
std::string dividing_groups(int64_t columns) {
  std::string text;
  for (int64_t group = 32; group <= 256; group += 32)
    if (columns % group == 0) text += (text.empty() ? "" : ", ") + std::to_string(group);
  return text.empty() ? "-1 (one scale per output channel)" : text;
}

}  // namespace

Grouping grouping_of(const LinearSite& site, int64_t group_size) {
  const int64_t out = site.out_features, in = site.in_features;
  if (group_size == 0) return {1, out * in, {1}};
  if (group_size == -1) return {out, in, {out, 1}};
  if (group_size < 0)
    throw ConfigError("group_size is " + std::to_string(group_size) + ", expected -1, 0 or more",
                      "-1: one scale per output channel, 0: one per tensor");
  if (in % group_size != 0)
    throw ConfigError("group_size " + std::to_string(group_size) + " does not divide the " +
                          std::to_string(in) + " columns of " + site.name,
                      "try " + dividing_groups(in));
  return {out * (in / group_size), group_size, {out, in / group_size}};
}

}  // namespace qtk::latent
