// The processors of a simulation: what the ranks compute, and what their messages cost the hosts.
#pragma once

#include "dist/simulation/event_queue.hpp"
#include "dist/simulation/pipeline_model.hpp"
#include "dist/simulation/shared_cores.hpp"

#include <cstdint>
#include <optional>
#include <vector>

namespace qtk::dist {

/// Ranks here are the simulated ones, replica after replica; hosts take them in that order.
class SimulatedHosts {
 public:
  /// @param queue  outlives this
  SimulatedHosts(const PipelineModel& model, EventQueue& queue);

  /// Work of a rank, or on its behalf, begins. @param end, subject  the event that its end is
  void begin(int64_t rank, double work_s, EventKind end, int64_t subject, double now);
  /// What the event kWorkEnd was, or nothing if it was void.
  std::optional<Event> end_work(const Event& event);

 private:
  struct Host {
    SharedCores cores;
    uint32_t version = 0;
  };

  void expect_end(int64_t host);

  EventQueue& queue_;
  int64_t ranks_per_host_;
  std::vector<Host> hosts_;  // empty: nothing is shared
};

}  // namespace qtk::dist
