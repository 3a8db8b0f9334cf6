#include "dist/simulation/step_bounds.hpp"

#include "dist/simulation/pass_costs.hpp"
#include "dist/simulation/simulated_exchange.hpp"

#include <algorithm>

namespace qtk::dist {
namespace {

/// Of one rank, without what others do for its messages.
double compute_s(const PipelineModel& model, int64_t stage) {
  return static_cast<double>(model.micro_batches) *
             (pass_costs(model, stage, OpKind::kForward).total_s() +
              pass_costs(model, stage, OpKind::kBackward).total_s()) +
         model.stages[stage].optimizer_s;
}

double compute_bound_s(const PipelineModel& model) {
  double longest = 0;
  for (int64_t p = 0; p < model.num_stages(); ++p) longest = std::max(longest, compute_s(model, p));
  return longest;
}

/// What the messages of one rank cost its host.
double message_work_s(const PipelineModel& model, int64_t stage) {
  double bytes_s = 0;
  for (const auto kind : {OpKind::kForward, OpKind::kBackward}) {
    const PassCosts pass = pass_costs(model, stage, kind);
    const double bytes = kind == OpKind::kForward ? model.forward_bytes : model.backward_bytes;
    if (pass.is_receiving) bytes_s += bytes * model.link.receive_cpu_s_per_byte;
    if (pass.is_sending) bytes_s += bytes * model.link.send_cpu_s_per_byte;
  }
  return static_cast<double>(model.micro_batches) * bytes_s;
}

double cores_bound_s(const PipelineModel& model) {
  if (!model.shares_cores()) return 0;
  const int64_t ranks = model.simulated_replicas() * model.num_stages();
  std::vector<double> work_s(static_cast<size_t>(ranks / model.ranks_of_a_host() + 1));
  for (int64_t r = 0; r < ranks; ++r) {
    const int64_t stage = r % model.num_stages();
    work_s[r / model.ranks_of_a_host()] += compute_s(model, stage) + message_work_s(model, stage);
  }
  return *std::ranges::max_element(work_s) / static_cast<double>(model.cores);
}

/// What passes the first bytes at once from a full bucket passes them once a step.
double link_bound_s(const PipelineModel& model) {
  if (model.num_stages() == 1) return 0;
  const double forward = model.forward_bytes, backward = model.backward_bytes;
  const bool is_flushed = model.schedule == ScheduleKind::kGpipe;
  // A middle stage sends both ways; the ends of a short pipeline send one way. With a flush,
  // gradients start only once all activations have crossed, even where both have buckets.
  const bool is_shared = model.link.shares_egress && model.num_stages() > 2;
  const double bytes = is_shared || is_flushed ? forward + backward : std::max(forward, backward);
  return transfer_s(model.link, static_cast<double>(model.micro_batches) * bytes);
}

double exchange_bound_s(const PipelineModel& model) {
  const SimulatedExchanges exchanges(model);
  double longest = 0;
  for (int64_t p = 0; p < model.num_stages(); ++p) {
    double sum = 0;
    for (const ExchangeKind kind : kExchangeKinds)
      if (const int64_t exchange = exchanges.exchange_of(p, kind); exchange >= 0)
        sum += exchanges.duration_s(exchange);
    longest = std::max(longest, sum);
  }
  return longest;
}

}  // namespace

StepBounds step_bounds(const PipelineModel& model) {
  return {compute_bound_s(model), link_bound_s(model), exchange_bound_s(model),
          cores_bound_s(model)};
}

std::string bounding_resource(const StepBounds& bounds, const Simulation& simulation) {
  const double longest =
      std::max({bounds.compute_s, bounds.link_s, bounds.exchange_s, bounds.cores_s});
  if (longest < simulation.step_s / 2) return "pipeline fill";
  if (longest == bounds.compute_s) return "compute";
  if (longest == bounds.cores_s) return "cores";
  return longest == bounds.link_s ? "link" : "gradient exchange";
}

}  // namespace qtk::dist
