// What the simulator is told about a training step of D replicas of a pipeline of P stages.
#pragma once

#include "dist/schedule.hpp"
#include "dist/simulation/link_model.hpp"

#include <cstdint>
#include <vector>

namespace qtk::dist {

/// Seconds that one micro-batch costs a stage; of the optimizer, one step.
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
  /// their own numbers from `seed`. 0: all replicas are alike, and one is simulated for all.
  double compute_jitter = 0;
  uint64_t seed = 0;
  bool keeps_timeline = false;

  int64_t num_stages() const { return static_cast<int64_t>(stages.size()); }
  int64_t num_ranks() const { return replicas * num_stages(); }
  /// Replicas of which each is simulated.
  int64_t simulated_replicas() const { return compute_jitter > 0 ? replicas : 1; }
  /// @throws ConfigError
  void validate() const;
};

}  // namespace qtk::dist
