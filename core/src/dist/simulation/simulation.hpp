// Training steps of D x P ranks in simulated time: every rank works through its
// schedule in order, waits for the messages it needs, decodes, computes,
// encodes; messages leave through token buckets.
//
//   const Simulation simulation = simulate(model);   // model:
//   dist/pipeline_model.hpp
//
// Events are kept in a heap: O(log n) each, about six for every micro-batch of
// every rank.
#pragma once

#include "dist/simulation/pipeline_model.hpp"
#include "dist/simulation/simulated_timeline.hpp"

#include <cstdint>
#include <vector>

namespace qtk::dist {

/// Where the time of one rank went, over all simulated steps. What is left of the whole time is
/// spent waiting.
struct RankUse {
  double forward_s = 0, backward_s = 0;
  double encode_s = 0, decode_s = 0;
  double cpu_s = 0;       // for bytes sent and received (LinkModel::send_cpu_s_per_byte)
  double exchange_s = 0;  // gradients of replicas and tied weights, the global norm
  double optimizer_s = 0;

  double compute_s() const { return forward_s + backward_s; }
  double busy_s() const {
    return compute_s() + encode_s + decode_s + cpu_s + exchange_s + optimizer_s;
  }
};

/// One direction of one link, over all simulated steps.
struct LinkUse {
  int64_t from = 0, to = 0;  // global ranks
  double bytes = 0;
  double busy_s = 0;  // a message was on its way
};

struct Simulation {
  std::vector<double> step_ends;  // by the last rank
  /// One step: the average of all but the first, which alone starts with an empty pipeline on all
  /// ranks at once; with one step, that one.
  double step_s = 0;
  /// Part of the ranks' time between the start of a step and the end of the last backward pass in
  /// which they neither compute nor encode nor decode: waiting for messages.
  double bubble_fraction = 0;
  std::vector<RankUse> ranks;  // of the simulated replicas, replica after replica
  std::vector<LinkUse> links;  // for every pair of neighbours forward, then backward
  int64_t simulated_replicas = 1;
  int64_t events = 0;
  std::vector<SimulatedSpan> timeline;  // if the model asked for it

  double total_s() const { return step_ends.back(); }
};

/// @throws ConfigError if the model makes no sense, Error if the schedule cannot finish
Simulation simulate(const PipelineModel& model);

}  // namespace qtk::dist
