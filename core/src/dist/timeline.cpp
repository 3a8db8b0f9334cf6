#include "dist/timeline.hpp"

#include <nlohmann/json.hpp>

namespace qtk::dist {
namespace {

struct LaneName {
  const char *row, *color;
};

/// Rows sort by their number; colours are names that the viewer knows.
LaneName name_of(Lane lane) {
  switch (lane) {
    case Lane::kForwardReceive:
      return {"1. forward-recv", "startup"};
    case Lane::kForwardCompute:
      return {"2. forward-compute", "good"};
    case Lane::kForwardSend:
      return {"3. forward-send", "thread_state_iowait"};
    case Lane::kBackwardReceive:
      return {"4. backward-recv", "startup"};
    case Lane::kBackwardCompute:
      return {"5. backward-compute", "good"};
    case Lane::kBackwardSend:
      return {"6. backward-send", "thread_state_iowait"};
    case Lane::kExchange:
      return {"7. optimizer-comm", "cq_build_passed"};
    case Lane::kOptimizer:
      return {"8. optimizer-comp", "bad"};
  }
  return {"", ""};
}

}  // namespace

std::string chrome_trace(std::span<const TimelineSpan> spans) {
  nlohmann::json events = nlohmann::json::array();
  for (const TimelineSpan& span : spans) {
    const LaneName lane = name_of(span.lane);
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
