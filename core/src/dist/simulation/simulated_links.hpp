// The links of a simulation: messages of a direction leave in order, each once it was sent and its
// receive was posted.
#pragma once

#include "dist/simulation/egress.hpp"
#include "dist/simulation/event_queue.hpp"
#include "dist/simulation/pipeline_model.hpp"
#include "dist/simulation/simulated_hosts.hpp"
#include "dist/simulation/simulated_timeline.hpp"

#include <qtk/runtime/random.hpp>

#include <cstdint>
#include <vector>

namespace qtk::dist {

/// A flow is one direction of one link, named by the rank (of the simulated ones, replica after
/// replica) that sends.
enum class Direction { kForward, kBackward };
inline int64_t flow_of(int64_t sender, Direction direction) {
  return 2 * sender + static_cast<int64_t>(direction);
}
inline int64_t sender_of(int64_t flow) { return flow / 2; }
inline Direction direction_of(int64_t flow) { return static_cast<Direction>(flow % 2); }
inline int64_t receiver_of(int64_t flow) {
  return sender_of(flow) + (direction_of(flow) == Direction::kForward ? 1 : -1);
}

class SimulatedLinks {
 public:
  /// @param queue, hosts, timeline  outlive this; `timeline` may be null
  SimulatedLinks(const PipelineModel& model, EventQueue& queue, SimulatedHosts& hosts,
                 std::vector<SimulatedSpan>* timeline);

  /// The sender has its next message ready.
  void send(int64_t flow, double now);
  /// The receiver posts so many more receives.
  void post(int64_t flow, int64_t receives, double now);

  void end_overhead(int64_t flow, double now);
  /// @returns the sender whose message left, or -1 if the event was void
  int64_t end_transfer(const Event& event);
  /// A part of what the message of a flow takes has ended: its transfer, or the work of a host.
  /// @returns the sender, or -1 while other parts are left
  int64_t end_part(int64_t flow, double now);

  /// Everything that this rank sent has left.
  bool is_drained(int64_t rank) const;
  double busy_s(int64_t flow) const { return flows_[flow].busy_s; }
  double bytes(int64_t flow) const;

 private:
  struct Flow {
    int64_t sent = 0, posted = 0, left = 0;  // messages
    double started = 0;                      // when the one on its way began
    double busy_s = 0;
    bool is_busy = false;
    int parts_left = 0;  // of the message on its way
  };
  struct Device {
    Egress egress;
    uint32_t version = 0;
  };

  void start_next(int64_t flow, double now);
  void begin_transfer(int64_t flow, double now);
  void begin_work(int64_t flow, double now);
  double draw_weight();
  void expect_end(int64_t device);
  double message_bytes(int64_t flow) const;
  int64_t device_of(int64_t flow) const {
    return model_.link.shares_egress ? sender_of(flow) : flow;
  }

  const PipelineModel& model_;
  EventQueue& queue_;
  SimulatedHosts& hosts_;
  std::vector<SimulatedSpan>* timeline_;
  std::vector<Flow> flows_;
  std::vector<Device> devices_;
  RandomStream shares_;
};

}  // namespace qtk::dist
