#include "latent_weight/grouping.hpp"

#include <qtk/group_size.hpp>
#include <qtk/runtime/error.hpp>

#include <string>

namespace qtk::latent {

Grouping grouping_of(const LinearSite& site, int64_t group_size) {
  const int64_t out = site.out_features, in = site.in_features;
  if (group_size == 0) return {1, out * in, {1}};
  if (group_size == -1) return {out, in, {out, 1}};
  if (group_size < 0)
    throw ConfigError("group_size is " + std::to_string(group_size) + ", expected -1, 0 or more",
                      "-1: one scale per output channel, 0: one per tensor");
  require_dividing_group(site, group_size);
  return {out * (in / group_size), group_size, {out, in / group_size}};
}

}  // namespace qtk::latent
