// Measures the links of a pipeline as its messages use them: the groups, tags and posted receives
// of a run.
#pragma once

#include "dist/simulation/link_file.hpp"
#include "dist/world.hpp"

#include <cstdint>
#include <functional>
#include <vector>

namespace qtk::dist {

struct LinkBenchmarkSettings {
  int64_t repeats = 3;               // of which times are the median
  int64_t largest_bytes = 16 << 20;  // sizes are 64 KiB, four times that, ... up to this one
};

/// Every pair of neighbours in turn; all ranks call it, with open groups. The time of a size is
/// that of a message among several sent one after another, so it has no latency in it.
/// @param on_pair  told before a pair is measured, on all ranks
/// @returns all pairs on rank 0, nothing elsewhere. @throws Error(kPeerLost)
std::vector<LinkFigures> measure_links(World& world, const LinkBenchmarkSettings& settings,
                                       const std::function<void(int first)>& on_pair);

}  // namespace qtk::dist
