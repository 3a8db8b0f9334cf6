// Which weights of a layer share a scale.
#pragma once

#include <qtk/api/linear_site.hpp>

#include <cstdint>
#include <vector>

namespace qtk::latent {

/// Contiguous runs of a row-major weight [out, in].
struct Grouping {
  int64_t count = 0;  // number of groups
  int64_t size = 0;   // weights of one
  /// Of the tensor that holds one number per group: [1], [out, 1] or [out, in / group_size].
  std::vector<int64_t> shape;
};

/// @param group_size  0: the whole tensor; -1: a row (output channel); g > 0: g input channels
/// @throws ConfigError if g does not divide the columns
Grouping grouping_of(const LinearSite& site, int64_t group_size);

}  // namespace qtk::latent
