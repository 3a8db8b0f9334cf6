#include "dist/simulation/simulated_links.hpp"

#include <algorithm>
#include <cmath>

namespace qtk::dist {

SimulatedLinks::SimulatedLinks(const PipelineModel& model, EventQueue& queue, SimulatedHosts& hosts,
                               std::vector<SimulatedSpan>* timeline)
    : model_(model),
      queue_(queue),
      hosts_(hosts),
      timeline_(timeline),
      shares_({.seed = model.seed, .purpose = "simulate.shares"}) {
  const int64_t ranks = model.simulated_replicas() * model.num_stages();
  flows_.resize(static_cast<size_t>(2 * ranks));
  devices_.resize(static_cast<size_t>(model.link.shares_egress ? ranks : 2 * ranks),
                  {Egress(model.link)});
}

double SimulatedLinks::message_bytes(int64_t flow) const {
  return direction_of(flow) == Direction::kForward ? model_.forward_bytes : model_.backward_bytes;
}

double SimulatedLinks::bytes(int64_t flow) const {
  return static_cast<double>(flows_[flow].left) * message_bytes(flow);
}

void SimulatedLinks::send(int64_t flow, double now) {
  ++flows_[flow].sent;
  start_next(flow, now);
}

void SimulatedLinks::post(int64_t flow, int64_t receives, double now) {
  flows_[flow].posted += receives;
  start_next(flow, now);
}

void SimulatedLinks::start_next(int64_t flow, double now) {
  Flow& state = flows_[flow];
  if (state.is_busy || state.left >= std::min(state.sent, state.posted)) return;
  state.is_busy = true;
  state.started = now;
  if (model_.link.overhead_s > 0)
    queue_.add(now + model_.link.overhead_s, EventKind::kOverheadEnd, flow);
  else
    begin_transfer(flow, now);
}

void SimulatedLinks::end_overhead(int64_t flow, double now) { begin_transfer(flow, now); }

void SimulatedLinks::begin_transfer(int64_t flow, double now) {
  flows_[flow].parts_left = 1;
  if (model_.shares_cores()) begin_work(flow, now);
  const int64_t device = device_of(flow);
  devices_[device].egress.begin(flow, message_bytes(flow), now, draw_weight());
  expect_end(device);
}

double SimulatedLinks::draw_weight() {
  return model_.link.share_spread > 0 ? std::exp(model_.link.share_spread * shares_.normal()) : 1;
}

/// Bytes are worked for while they travel, by threads that compete with the ranks for the cores.
void SimulatedLinks::begin_work(int64_t flow, double now) {
  const auto begin = [&](int64_t rank, double s_per_byte, EventKind end) {
    if (!(s_per_byte > 0)) return;
    ++flows_[flow].parts_left;
    hosts_.begin(rank, s_per_byte * message_bytes(flow), end, flow, now);
  };
  begin(sender_of(flow), model_.link.send_cpu_s_per_byte, EventKind::kSendWorkEnd);
  begin(receiver_of(flow), model_.link.receive_cpu_s_per_byte, EventKind::kReceiveWorkEnd);
}

void SimulatedLinks::expect_end(int64_t device) {
  Device& state = devices_[device];
  ++state.version;
  if (!state.egress.is_idle())
    queue_.add(state.egress.next_end(), EventKind::kMessageLeft, device, state.version);
}

int64_t SimulatedLinks::end_transfer(const Event& event) {
  Device& device = devices_[event.subject];
  if (device.version != event.version) return -1;
  const int64_t sender = end_part(device.egress.finish(event.time), event.time);
  expect_end(event.subject);
  return sender;
}

int64_t SimulatedLinks::end_part(int64_t flow, double now) {
  Flow& state = flows_[flow];
  if (--state.parts_left > 0) return -1;
  if (timeline_)
    timeline_->push_back({.rank = sender_of(flow),
                          .lane = direction_of(flow) == Direction::kForward ? Lane::kForwardSend
                                                                            : Lane::kBackwardSend,
                          .name = "transfer",
                          .start_s = state.started,
                          .end_s = now,
                          .micro_batch = state.left % model_.micro_batches});
  state.busy_s += now - state.started;
  state.is_busy = false;
  ++state.left;
  queue_.add(now + model_.link.latency_s, EventKind::kArrival, flow);
  start_next(flow, now);
  return sender_of(flow);
}

bool SimulatedLinks::is_drained(int64_t rank) const {
  for (const auto direction : {Direction::kForward, Direction::kBackward}) {
    const Flow& flow = flows_[flow_of(rank, direction)];
    if (flow.left < flow.sent) return false;
  }
  return true;
}

}  // namespace qtk::dist
