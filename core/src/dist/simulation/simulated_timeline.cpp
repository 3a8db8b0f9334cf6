#include "dist/simulation/simulated_timeline.hpp"

#include <nlohmann/json.hpp>

namespace qtk::dist {

std::string chrome_trace(std::span<const SimulatedSpan> spans) {
  nlohmann::json events = nlohmann::json::array();
  for (const SimulatedSpan& span : spans) {
    const LaneLook& lane = look_of(span.lane);
    nlohmann::json event = {{"name", span.name},        {"ph", "X"},
                            {"ts", span.start_s * 1e6}, {"dur", (span.end_s - span.start_s) * 1e6},
                            {"pid", span.rank},         {"tid", lane.name},
                            {"cname", lane.color}};
    if (span.micro_batch >= 0) event["args"] = {{"micro-batch", span.micro_batch}};
    events.push_back(std::move(event));
  }
  return events.dump() + "\n";
}

}  // namespace qtk::dist
