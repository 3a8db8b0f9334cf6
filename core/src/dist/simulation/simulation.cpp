#include "dist/simulation/simulation.hpp"

#include "dist/simulation/event_queue.hpp"
#include "dist/simulation/pass_costs.hpp"
#include "dist/simulation/simulated_exchange.hpp"
#include "dist/simulation/simulated_hosts.hpp"
#include "dist/simulation/simulated_links.hpp"

#include <qtk/runtime/error.hpp>
#include <qtk/runtime/random.hpp>

#include <algorithm>
#include <array>
#include <limits>
#include <string>

namespace qtk::dist {
namespace {

/// Even the luckiest pass takes some time.
constexpr double kLeastJitterFactor = 0.2;

struct RankState {
  int64_t stage = 0;
  int64_t step = 0;
  int64_t next_op = 0;
  int64_t exchanges_done = 0;   // of kExchangeKinds, after the last operation
  int64_t arrived[2] = {0, 0};  // messages, over all steps, by Direction
  bool is_busy = false,
       is_posted = false;  // is_posted: the receive of the next operation
  bool is_past_ops = false;
  bool is_handing_over = false;  // the message of the operation at work is on its way
  double idle_since = 0;
  double work_since = 0;  // of the operation or the optimizer at work
  PassCosts pass;         // of that operation
  RankUse use;
};

class Simulator {
 public:
  explicit Simulator(const PipelineModel& model)
      : model_(model),
        stages_(model.num_stages()),
        hosts_(model, queue_),
        links_(model, queue_, hosts_, model.keeps_timeline ? &timeline_ : nullptr),
        exchanges_(model),
        ranks_(static_cast<size_t>(model.simulated_replicas() * stages_)),
        steps_(static_cast<size_t>(model.steps)) {
    for (int64_t p = 0; p < stages_; ++p) {
      ops_.push_back(schedule_ops(model.schedule, stages_, p, model.micro_batches));
      passes_.push_back(
          {pass_costs(model, p, OpKind::kForward), pass_costs(model, p, OpKind::kBackward)});
    }
    for (size_t r = 0; r < ranks_.size(); ++r) {
      ranks_[r].stage = static_cast<int64_t>(r) % stages_;
      if (model.compute_jitter > 0)
        jitter_.emplace_back(RandomKey{
            .seed = model.seed, .purpose = "simulate.jitter", .rank = static_cast<int64_t>(r)});
    }
  }

  Simulation run() {
    for (int64_t r = 0; r < num_ranks(); ++r) begin_step(r, 0);
    while (!queue_.is_empty()) handle(queue_.take());
    require_end();
    return result();
  }

 private:
  /// What a step was like over all ranks.
  struct StepSpan {
    double begin = std::numeric_limits<double>::infinity(), ops_end = 0, end = 0;
  };

  int64_t num_ranks() const { return static_cast<int64_t>(ranks_.size()); }
  const PassCosts& pass_of(const RankState& rank, OpKind kind) const {
    return passes_[rank.stage][static_cast<int>(kind)];
  }
  static Direction direction_of(OpKind kind) {
    return kind == OpKind::kForward ? Direction::kForward : Direction::kBackward;
  }
  /// The flow on which a rank receives what an operation needs.
  static int64_t input_flow(int64_t r, OpKind kind) {
    return flow_of(kind == OpKind::kForward ? r - 1 : r + 1, direction_of(kind));
  }
  void record(int64_t r, Lane lane, const char* name, double start, double end,
              int64_t micro_batch = -1) {
    if (model_.keeps_timeline && end > start)
      timeline_.push_back({r, lane, name, start, end, micro_batch});
  }

  void handle(const Event& event);
  void end_message(int64_t sender, double now);
  void begin_step(int64_t r, double now);
  void try_next_op(int64_t r, double now);
  void start_op(int64_t r, const Op& op, double now);
  void record_pass(int64_t r, const Op& op, double now);
  void end_op(int64_t r, double now);
  void finish_ops(int64_t r, double now);
  void next_exchange(int64_t r, double now);
  void end_exchange(int64_t exchange, double now);
  void end_step(int64_t r, double now);
  void require_end() const;
  Simulation result();

  const PipelineModel& model_;
  const int64_t stages_;
  EventQueue queue_;
  std::vector<SimulatedSpan> timeline_;
  SimulatedHosts hosts_;
  SimulatedLinks links_;
  SimulatedExchanges exchanges_;
  std::vector<std::vector<Op>> ops_;              // by stage
  std::vector<std::array<PassCosts, 2>> passes_;  // by stage and OpKind
  std::vector<RankState> ranks_;
  std::vector<RandomStream> jitter_;  // by rank, or empty
  std::vector<StepSpan> steps_;
};

void Simulator::handle(const Event& event) {
  const double now = event.time;
  switch (event.kind) {
    case EventKind::kOpEnd:
      return end_op(event.subject, now);
    case EventKind::kOverheadEnd:
      return links_.end_overhead(event.subject, now);
    case EventKind::kMessageLeft:
      return end_message(links_.end_transfer(event), now);
    case EventKind::kSendWorkEnd:
    case EventKind::kReceiveWorkEnd:
      return end_message(links_.end_part(event.subject, now), now);
    case EventKind::kWorkEnd:
      if (const auto ended = hosts_.end_work(event)) handle(*ended);
      return;
    case EventKind::kArrival: {
      const int64_t receiver = receiver_of(event.subject);
      ++ranks_[receiver].arrived[static_cast<int>(dist::direction_of(event.subject))];
      return try_next_op(receiver, now);
    }
    case EventKind::kExchangeEnd:
      return end_exchange(event.subject, now);
    case EventKind::kOptimizerEnd:
      return end_step(event.subject, now);
  }
}

void Simulator::end_message(int64_t sender, double now) {
  if (sender >= 0 && ranks_[sender].is_past_ops) finish_ops(sender, now);
}

void Simulator::begin_step(int64_t r, double now) {
  RankState& rank = ranks_[r];
  steps_[rank.step].begin = std::min(steps_[rank.step].begin, now);
  rank.next_op = rank.exchanges_done = 0;
  rank.is_past_ops = false;
  rank.idle_since = now;
  if (model_.receives == ReceiveRule::kAtStepStart)
    for (const OpKind kind : {OpKind::kForward, OpKind::kBackward})
      if (pass_of(rank, kind).is_receiving)
        links_.post(input_flow(r, kind), model_.micro_batches, now);
  try_next_op(r, now);
}

void Simulator::try_next_op(int64_t r, double now) {
  RankState& rank = ranks_[r];
  const auto& ops = ops_[rank.stage];
  if (rank.is_busy || rank.is_past_ops) return;
  const Op& op = ops[rank.next_op];
  if (pass_of(rank, op.kind).is_receiving) {
    if (model_.receives == ReceiveRule::kWhenNeeded && !rank.is_posted) {
      rank.is_posted = true;
      links_.post(input_flow(r, op.kind), 1, now);
    }
    const int64_t needed = rank.step * model_.micro_batches + op.micro_batch;
    if (rank.arrived[static_cast<int>(direction_of(op.kind))] <= needed) return;
  }
  rank.is_posted = false;
  start_op(r, op, now);
}

void Simulator::start_op(int64_t r, const Op& op, double now) {
  RankState& rank = ranks_[r];
  const bool is_forward = op.kind == OpKind::kForward;
  PassCosts pass = pass_of(rank, op.kind);
  if (!jitter_.empty())
    pass.compute_s *= std::max(kLeastJitterFactor, 1 + model_.compute_jitter * jitter_[r].normal());

  (is_forward ? rank.use.forward_s : rank.use.backward_s) += pass.compute_s;
  rank.use.decode_s += pass.decode_s;
  rank.use.encode_s += pass.encode_s;
  rank.use.cpu_s += pass.cpu_s() + pass.hand_over_s;
  if (pass.is_receiving)
    record(r, is_forward ? Lane::kForwardReceive : Lane::kBackwardReceive, "wait", rank.idle_since,
           now, op.micro_batch);
  rank.is_busy = true;
  rank.work_since = now;
  rank.pass = pass;
  hosts_.begin(r, pass.until_sent_s(), EventKind::kOpEnd, r, now);
}

/// The parts of a pass that has ended. What waiting for a core took is spread over them.
void Simulator::record_pass(int64_t r, const Op& op, double now) {
  const RankState& rank = ranks_[r];
  const PassCosts& pass = rank.pass;
  if (!(pass.until_sent_s() > 0)) return;
  const double stretch = (now - rank.work_since) / pass.until_sent_s();
  const Lane lane = op.kind == OpKind::kForward ? Lane::kForwardCompute : Lane::kBackwardCompute;
  const double decoded = rank.work_since + stretch * (pass.receive_cpu_s + pass.decode_s);
  const double computed = decoded + stretch * pass.compute_s;
  record(r, lane, "decode", rank.work_since, decoded, op.micro_batch);
  record(r, lane, "compute", decoded, computed, op.micro_batch);
  record(r, lane, "encode", computed, now, op.micro_batch);
}

void Simulator::end_op(int64_t r, double now) {
  RankState& rank = ranks_[r];
  const auto& ops = ops_[rank.stage];
  const Op& op = ops[rank.next_op];
  if (!rank.is_handing_over) {
    record_pass(r, op, now);
    if (rank.pass.is_sending) links_.send(flow_of(r, direction_of(op.kind)), now);
    rank.is_handing_over = rank.pass.hand_over_s > 0;
    if (rank.is_handing_over)
      return hosts_.begin(r, rank.pass.hand_over_s, EventKind::kOpEnd, r, now);
  }
  rank.is_busy = rank.is_handing_over = false;
  rank.idle_since = now;
  ++rank.next_op;
  if (rank.next_op < static_cast<int64_t>(ops.size())) return try_next_op(r, now);
  rank.is_past_ops = true;
  StepSpan& step = steps_[rank.step];
  step.ops_end = std::max(step.ops_end, now);
  finish_ops(r, now);
}

/// A step ends for a rank when its messages have left.
void Simulator::finish_ops(int64_t r, double now) {
  RankState& rank = ranks_[r];
  if (rank.exchanges_done > 0 || !links_.is_drained(r)) return;
  next_exchange(r, now);
}

void Simulator::next_exchange(int64_t r, double now) {
  RankState& rank = ranks_[r];
  while (rank.exchanges_done < std::ssize(kExchangeKinds)) {
    const int64_t exchange = exchanges_.exchange_of(r, kExchangeKinds[rank.exchanges_done++]);
    if (exchange < 0) continue;
    if (exchanges_.join(exchange))
      queue_.add(now + exchanges_.duration_s(exchange), EventKind::kExchangeEnd, exchange);
    return;
  }
  const double optimizer_s = model_.stages[rank.stage].optimizer_s;
  rank.use.optimizer_s += optimizer_s;
  rank.work_since = now;
  hosts_.begin(r, optimizer_s, EventKind::kOptimizerEnd, r, now);
}

void Simulator::end_exchange(int64_t exchange, double now) {
  const double duration = exchanges_.duration_s(exchange);
  for (const int64_t r : exchanges_.members(exchange)) {
    ranks_[r].use.exchange_s += duration;
    record(r, Lane::kOptimizerComm, "opt_allreduce", now - duration, now);
    next_exchange(r, now);
  }
}

void Simulator::end_step(int64_t r, double now) {
  RankState& rank = ranks_[r];
  record(r, Lane::kOptimizerStep, "opt", rank.work_since, now);
  steps_[rank.step].end = std::max(steps_[rank.step].end, now);
  if (++rank.step < model_.steps) begin_step(r, now);
}

void Simulator::require_end() const {
  for (int64_t r = 0; r < num_ranks(); ++r) {
    const RankState& rank = ranks_[r];
    if (rank.step == model_.steps) continue;
    const auto& ops = ops_[rank.stage];
    const bool is_in_ops = rank.next_op < static_cast<int64_t>(ops.size());
    const std::string what =
        !is_in_ops
            ? "its gradients' exchange"
            : std::string(ops[rank.next_op].kind == OpKind::kForward ? "forward" : "backward") +
                  " pass " + std::to_string(ops[rank.next_op].micro_batch);
    throw Error("the schedule cannot finish: rank " + std::to_string(r) + " waits forever for " +
                what + " of step " + std::to_string(rank.step));
  }
}

Simulation Simulator::result() {
  Simulation simulation{.simulated_replicas = model_.simulated_replicas(),
                        .events = queue_.taken(),
                        .timeline = std::move(timeline_)};
  double span_s = 0, busy_s = 0;
  for (const StepSpan& step : steps_) {
    simulation.step_ends.push_back(step.end);
    span_s += step.ops_end - step.begin;
  }
  const auto& ends = simulation.step_ends;
  simulation.step_s =
      ends.size() == 1 ? ends[0] : (ends.back() - ends[0]) / static_cast<double>(ends.size() - 1);
  for (int64_t r = 0; r < num_ranks(); ++r) {
    const RankUse& use = ranks_[r].use;
    busy_s += use.compute_s() + use.encode_s + use.decode_s + use.cpu_s;
    simulation.ranks.push_back(use);
    if (ranks_[r].stage == stages_ - 1) continue;
    for (const int64_t flow :
         {flow_of(r, Direction::kForward), flow_of(r + 1, Direction::kBackward)})
      simulation.links.push_back(
          {sender_of(flow), receiver_of(flow), links_.bytes(flow), links_.busy_s(flow)});
  }
  if (span_s > 0)
    simulation.bubble_fraction =
        std::max(0.0, 1 - busy_s / (span_s * static_cast<double>(num_ranks())));
  return simulation;
}

}  // namespace

Simulation simulate(const PipelineModel& model) {
  model.validate();
  return Simulator(model).run();
}

}  // namespace qtk::dist
