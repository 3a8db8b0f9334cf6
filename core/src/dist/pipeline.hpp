// One stage of a pipeline at work: the operations of its schedule, and what they imply on the
// links.
#pragma once

#include "dist/link.hpp"
#include "dist/mesh.hpp"
#include "dist/process_group.hpp"
#include "dist/schedule.hpp"
#include "dist/timeline.hpp"

#include <qtk/api/compressor.hpp>

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace qtk::dist {

/// The layers of a stage as a function. Recorded by autograd.
class StageModel {
 public:
  virtual ~StageModel();
  /// @param input  [B, S, D] from the stage before, a leaf; undefined on the first stage
  /// @returns [B, S, D] for the next stage; on the last one the loss [], to be differentiated with
  /// gradient 1
  virtual at::Tensor forward(int64_t micro_batch, const at::Tensor& input) = 0;
};

/// What the links of one stage carry.
struct PipelineLinks {
  TensorSpec spec;                    // of the tensor between stages
  Compressor* forward_out = nullptr;  // null at the ends of the pipeline
  Compressor* forward_in = nullptr;
  Compressor* backward_out = nullptr;
  Compressor* backward_in = nullptr;
  bool has_hash = false;
  LinkShape shape;
};

struct StepPlan {
  int64_t step = 0;
  int64_t micro_batches = 1;
  bool is_warmup = false;
  /// Data-set index of each window of a micro-batch.
  std::function<std::vector<int64_t>(int64_t micro_batch)> samples;
};

class Pipeline {
 public:
  /// @param forward, backward  groups of the pipeline's stages, for activations and gradients
  /// @param on_begin  told every operation that begins
  Pipeline(const Mesh& mesh, ScheduleKind schedule, ProcessGroup& forward, ProcessGroup& backward,
           const PipelineLinks& links, Timeline& timeline,
           std::function<void(const std::string&)> on_begin);

  /// Forward and backward passes of a step; gradients add up in the parameters' `grad`.
  /// @throws Error(kPeerLost)
  void run(StageModel& model, const StepPlan& plan);

  /// Bytes that this stage has sent so far.
  int64_t forward_bytes() const { return forward_out_ ? forward_out_->sent_bytes() : 0; }
  int64_t backward_bytes() const { return backward_out_ ? backward_out_->sent_bytes() : 0; }

 private:
  struct Held {
    at::Tensor input, output;
  };
  MessageInfo info(const StepPlan& plan, int64_t micro_batch);
  void forward(StageModel& model, const StepPlan& plan, int64_t micro_batch);
  void backward(const StepPlan& plan, int64_t micro_batch);

  const Mesh mesh_;
  const ScheduleKind schedule_;
  const TensorSpec spec_;
  Timeline& timeline_;
  const std::function<void(const std::string&)> on_begin_;
  std::unique_ptr<SendingEnd> forward_out_, backward_out_;
  std::unique_ptr<ReceivingEnd> forward_in_, backward_in_;
  std::vector<Held> held_;
  std::vector<int64_t> samples_;  // behind the info of the message at work
};

}  // namespace qtk::dist
