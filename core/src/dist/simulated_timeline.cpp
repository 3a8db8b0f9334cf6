#include "dist/simulated_timeline.hpp"

#include <nlohmann/json.hpp>

namespace qtk::dist {
namespace {

struct LaneLook {
  const char *row, *color;
};

/// Rows sort by their number; colours are names that the viewer knows.
LaneLook name_of(SimulatedLane lane) {
  switch (lane) {
    case SimulatedLane::kForwardReceive:
      return {"1. forward-recv", "startup"};
    case SimulatedLane::kForwardCompute:
      return {"2. forward-compute", "good"};
    case SimulatedLane::kForwardSend:
      return {"3. forward-send", "thread_state_iowait"};
    case SimulatedLane::kBackwardReceive:
      return {"4. backward-recv", "startup"};
    case SimulatedLane::kBackwardCompute:
      return {"5. backward-compute", "good"};
    case SimulatedLane::kBackwardSend:
      return {"6. backward-send", "thread_state_iowait"};
    case SimulatedLane::kOptimizerComm:
      return {"7. optimizer-comm", "cq_build_passed"};
    case SimulatedLane::kOptimizerStep:
      return {"7. optimizer-step", "bad"};
  }
  return {"", ""};
}

}  // namespace

std::string chrome_trace(std::span<const SimulatedSpan> spans) {
  nlohmann::json events = nlohmann::json::array();
  for (const SimulatedSpan& span : spans) {
    const LaneLook lane = name_of(span.lane);
    nlohmann::json event = {{"name", span.name},        {"ph", "X"},
                            {"ts", span.start_s * 1e6}, {"dur", (span.end_s - span.start_s) * 1e6},
                            {"pid", span.rank},         {"tid", lane.row},
                            {"cname", lane.color}};
    if (span.micro_batch >= 0) event["args"] = {{"micro-batch", span.micro_batch}};
    events.push_back(std::move(event));
  }
  return events.dump() + "\n";
}

}  // namespace qtk::dist
