// What one forward or backward pass of a micro-batch costs one stage, messages included.
#pragma once

#include "dist/simulation/pipeline_model.hpp"

namespace qtk::dist {

struct PassCosts {
  bool is_receiving = false, is_sending = false;
  /// The rank's own work for bytes; 0 where cores are shared, as other threads do it then.
  double receive_cpu_s = 0, send_cpu_s = 0;
  double decode_s = 0, compute_s = 0, encode_s = 0;
  double hand_over_s = 0;  // after the message was sent

  double cpu_s() const { return receive_cpu_s + send_cpu_s; }
  /// Until the message is sent.
  double until_sent_s() const { return cpu_s() + decode_s + compute_s + encode_s; }
  double total_s() const { return until_sent_s() + hand_over_s; }
};

inline PassCosts pass_costs(const PipelineModel& model, int64_t stage, OpKind kind) {
  const bool is_first = stage == 0, is_last = stage == model.num_stages() - 1;
  const bool is_forward = kind == OpKind::kForward;
  const StageCosts& costs = model.stages[stage];
  const double bytes = is_forward ? model.forward_bytes : model.backward_bytes;
  PassCosts pass{.is_receiving = is_forward ? !is_first : !is_last,
                 .is_sending = is_forward ? !is_last : !is_first,
                 .compute_s = is_forward ? costs.forward_s : costs.backward_s};
  if (pass.is_receiving) {
    if (!model.shares_cores()) pass.receive_cpu_s = bytes * model.link.receive_cpu_s_per_byte;
    pass.decode_s = is_forward ? costs.decode_forward_s : costs.decode_backward_s;
  }
  if (pass.is_sending) {
    pass.encode_s = is_forward ? costs.encode_forward_s : costs.encode_backward_s;
    pass.hand_over_s = bytes * model.link.hand_over_s_per_byte;
    if (!model.shares_cores()) pass.send_cpu_s = bytes * model.link.send_cpu_s_per_byte;
  }
  return pass;
}

}  // namespace qtk::dist
