// What the simulator is told about a training step of D replicas of a pipeline of P stages.
#pragma once

#include "dist/schedule.hpp"
#include "dist/simulation/link_model.hpp"

#include <cstdint>
#include <vector>

namespace qtk::dist {

/// Seconds that one micro-batch costs a stage; of the optimizer, one step. Of a core, where ranks
/// share the cores of a host.
struct StageCosts {
  double forward_s = 0, backward_s = 0;
  double encode_forward_s = 0,
         decode_forward_s = 0;  // of activations sent and received
  double encode_backward_s = 0,
         decode_backward_s = 0;  // of their gradients sent and received
  double optimizer_s = 0;
  double gradient_bytes = 0;  // exchanged with the same stage of the other replicas, once a step
};

/// When a rank tells the sender of a message that it may come. A transfer starts at the later of
/// "sent" and "receive posted".
enum class ReceiveRule {
  kAtStepStart,  // all receives of the step are posted when it begins
  kWhenNeeded,   // a receive is posted when the operation that needs it is next
};

struct PipelineModel {
  ScheduleKind schedule = ScheduleKind::k1f1b;
  ReceiveRule receives = ReceiveRule::kAtStepStart;
  int64_t replicas = 1;                          // D
  int64_t micro_batches = 1;                     // M, of a replica in a step
  int64_t steps = 1;                             // simulated one after another
  std::vector<StageCosts> stages;                // P
  double forward_bytes = 0, backward_bytes = 0;  // of a message between stages
  LinkModel link;                                // between the stages of a pipeline
  LinkModel data_link;  // between replicas, and between the ends of a pipeline
                        // for tied weights
  /// Gradient of a weight that the first and the last stage share, exchanged once a step.
  double tied_bytes = 0;
  /// The optimizer waits for the norm of all ranks' gradients.
  bool has_global_norm = true;
  /// Standard deviation of the time of a forward or backward pass, as a part of it. Ranks draw
  /// their own numbers from `seed`.
  double compute_jitter = 0;
  /// Cores of a host, which its ranks and the work for their messages share. 0: every rank has one
  /// of its own, and works itself for what it sends and receives.
  int64_t cores = 0;
  int64_t ranks_per_host = 0;  // in the order of ranks; 0: all are on one host
  uint64_t seed = 0;
  bool keeps_timeline = false;

  int64_t num_stages() const { return static_cast<int64_t>(stages.size()); }
  int64_t num_ranks() const { return replicas * num_stages(); }
  bool shares_cores() const { return cores > 0; }
  int64_t ranks_of_a_host() const { return ranks_per_host > 0 ? ranks_per_host : num_ranks(); }
  /// Replicas of which each is simulated: one for all, if they neither differ nor share a host.
  int64_t simulated_replicas() const {
    const bool share_a_host = shares_cores() && num_stages() % ranks_of_a_host() != 0;
    const bool differ = compute_jitter > 0 || link.share_spread > 0;
    return differ || share_a_host ? replicas : 1;
  }
  /// @throws ConfigError
  void validate() const;
};

}  // namespace qtk::dist
