// The order of work of one pipeline stage in a step. Messages follow from it: forward(i) waits for
// the forward message i of the stage before and is followed by one to the stage after; backward(i)
// the other way round. All receives of a step are posted when it begins.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace qtk::dist {

enum class OpKind { kForward, kBackward };

struct Op {
  OpKind kind;
  int64_t micro_batch;
  bool operator==(const Op&) const = default;
};

enum class ScheduleKind {
  kGpipe,  // all forwards, then all backwards (Huang et al. 2019); holds M micro-batches
  k1f1b    // one forward, one backward in turn once the pipeline is full (Narayanan et al. 2019,
           // non-interleaved with a flush); stage p holds at most P - p micro-batches
};

/// "gpipe" or "1f1b". @throws ConfigError for another name
ScheduleKind schedule_from(std::string_view name);

/// Micro-batches are worked on in ascending order in both directions.
/// @param stages  P >= 1; @param stage  p in [0, P); @param micro_batches  M >= 1
std::vector<Op> schedule_ops(ScheduleKind kind, int64_t stages, int64_t stage,
                             int64_t micro_batches);

/// Most micro-batches whose activations a stage holds at once.
int64_t peak_micro_batches(const std::vector<Op>& ops);

/// Runs the lists of all stages against one another.
/// @throws Error naming the stages and micro-batches that wait for each other, or an operation that
/// is missing, doubled or before its forward
void check_schedule(const std::vector<std::vector<Op>>& ops_of_stages);

}  // namespace qtk::dist
