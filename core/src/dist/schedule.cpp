#include "dist/schedule.hpp"

#include <qtk/runtime/check.hpp>

#include <algorithm>
#include <string>

namespace qtk::dist {
namespace {

std::string op_text(const Op& op) {
  return std::string(op.kind == OpKind::kForward ? "forward(" : "backward(") +
         std::to_string(op.micro_batch) + ")";
}

/// Every micro-batch once forward and later once backward, both in ascending order.
void check_own_order(const std::vector<Op>& ops, size_t stage) {
  int64_t forwards = 0, backwards = 0;
  for (const Op& op : ops) {
    int64_t& next = op.kind == OpKind::kForward ? forwards : backwards;
    QTK_CHECK(op.micro_batch == next, "stage ", stage, " has ", op_text(op), " where micro-batch ",
              next, " is due");
    ++next;
    QTK_CHECK(backwards <= forwards, "stage ", stage, " has ", op_text(op),
              " before its forward pass");
  }
  QTK_CHECK(forwards == backwards, "stage ", stage, " has ", forwards, " forward and ", backwards,
            " backward passes");
}

}  // namespace

ScheduleKind schedule_from(std::string_view name) {
  if (name == "gpipe") return ScheduleKind::kGpipe;
  if (name == "1f1b") return ScheduleKind::k1f1b;
  throw ConfigError("unknown schedule `" + std::string(name) + "`", "use gpipe or 1f1b");
}

std::vector<Op> schedule_ops(ScheduleKind kind, int64_t stages, int64_t stage,
                             int64_t micro_batches) {
  QTK_CHECK(stages >= 1 && stage >= 0 && stage < stages && micro_batches >= 1, "stage ", stage,
            " of ", stages, " with ", micro_batches, " micro-batches");
  const int64_t ahead =
      kind == ScheduleKind::kGpipe ? micro_batches : std::min(stages - 1 - stage, micro_batches);
  std::vector<Op> ops;
  int64_t forward = 0, backward = 0;
  while (forward < ahead) ops.push_back({OpKind::kForward, forward++});
  while (forward < micro_batches) {
    ops.push_back({OpKind::kForward, forward++});
    ops.push_back({OpKind::kBackward, backward++});
  }
  while (backward < micro_batches) ops.push_back({OpKind::kBackward, backward++});
  return ops;
}

int64_t peak_micro_batches(const std::vector<Op>& ops) {
  int64_t held = 0, peak = 0;
  for (const Op& op : ops) {
    held += op.kind == OpKind::kForward ? 1 : -1;
    peak = std::max(peak, held);
  }
  return peak;
}

void check_schedule(const std::vector<std::vector<Op>>& ops_of_stages) {
  const size_t stages = ops_of_stages.size();
  for (size_t stage = 0; stage < stages; ++stage) check_own_order(ops_of_stages[stage], stage);
  std::vector<size_t> at(stages, 0);
  std::vector<int64_t> forwards(stages, 0), backwards(stages, 0);  // finished ones
  const auto is_ready = [&](size_t stage) {
    if (at[stage] == ops_of_stages[stage].size()) return false;
    const Op& op = ops_of_stages[stage][at[stage]];
    if (op.kind == OpKind::kForward) return stage == 0 || forwards[stage - 1] > op.micro_batch;
    return stage + 1 == stages || backwards[stage + 1] > op.micro_batch;
  };
  for (bool has_moved = true; has_moved;) {
    has_moved = false;
    for (size_t stage = 0; stage < stages; ++stage)
      for (; is_ready(stage); has_moved = true) {
        const Op& op = ops_of_stages[stage][at[stage]++];
        ++(op.kind == OpKind::kForward ? forwards : backwards)[stage];
      }
  }
  for (size_t stage = 0; stage < stages; ++stage)
    QTK_CHECK(at[stage] == ops_of_stages[stage].size(), "the schedule comes to a halt: stage ",
              stage, " waits for the message of ", op_text(ops_of_stages[stage][at[stage]]));
}

}  // namespace qtk::dist
