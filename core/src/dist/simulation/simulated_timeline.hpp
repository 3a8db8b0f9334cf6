// What ranks and links did when, as the event list that chrome://tracing and Perfetto show.
#pragma once

#include "dist/timeline.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace qtk::dist {

/// Waiting for a message stands in the receive lanes, a message on its way in the send lanes,
/// encoding and decoding beside the pass they belong to.
struct SimulatedSpan {
  int64_t rank = 0;
  Lane lane = Lane::kForwardCompute;
  std::string_view name;  // of static duration
  double start_s = 0, end_s = 0;
  int64_t micro_batch = -1;  // -1: none
};

/// A JSON array of complete events ("ph": "X"), times in microseconds, one process per rank.
std::string chrome_trace(std::span<const SimulatedSpan> spans);

}  // namespace qtk::dist
