#include "dist/pipeline.hpp"

#include "base/fault_point.hpp"

#include <qtk/runtime/check.hpp>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

namespace qtk::dist {

StageModel::~StageModel() = default;

Pipeline::Pipeline(const Mesh& mesh, ScheduleKind schedule, ProcessGroup& forward,
                   ProcessGroup& backward, const PipelineLinks& links, Timeline& timeline,
                   std::function<void(const std::string&)> on_begin)
    : mesh_(mesh),
      schedule_(schedule),
      spec_(links.spec),
      timeline_(timeline),
      on_begin_(std::move(on_begin)) {
  const int before = mesh.stage() - 1, after = mesh.stage() + 1;
  const auto end = [&](const char* direction, ProcessGroup& group, int peer, Compressor* compressor,
                       Lane lane) {
    return LinkSetup{direction,  group,          peer,     *compressor,
                     links.spec, links.has_hash, timeline, lane};
  };
  if (links.forward_out)
    forward_out_ = std::make_unique<SendingEnd>(
        end("forward", forward, after, links.forward_out, Lane::kForwardSend), links.shape);
  if (links.forward_in)
    forward_in_ = std::make_unique<ReceivingEnd>(
        end("forward", forward, before, links.forward_in, Lane::kForwardReceive), links.shape);
  if (links.backward_out)
    backward_out_ = std::make_unique<SendingEnd>(
        end("backward", backward, before, links.backward_out, Lane::kBackwardSend), links.shape);
  if (links.backward_in)
    backward_in_ = std::make_unique<ReceivingEnd>(
        end("backward", backward, after, links.backward_in, Lane::kBackwardReceive), links.shape);
}

MessageInfo Pipeline::info(const StepPlan& plan, int64_t micro_batch) {
  samples_ = plan.samples(micro_batch);
  return {.spec = spec_,
          .step = plan.step,
          .micro_batch = micro_batch,
          .samples = samples_,
          .is_warmup = plan.is_warmup};
}

void Pipeline::run(StageModel& model, const StepPlan& plan) {
  if (forward_in_) forward_in_->post(plan.micro_batches, plan.is_warmup);
  if (backward_in_) backward_in_->post(plan.micro_batches, plan.is_warmup);
  held_.assign(static_cast<size_t>(plan.micro_batches), {});
  for (const Op& op : schedule_ops(schedule_, mesh_.stages, mesh_.stage(), plan.micro_batches)) {
    if (op.kind == OpKind::kForward)
      forward(model, plan, op.micro_batch);
    else
      backward(plan, op.micro_batch);
  }
  on_begin_("the end of the sends of the step");
  if (forward_out_) forward_out_->finish();
  if (backward_out_) backward_out_->finish();
}

void Pipeline::forward(StageModel& model, const StepPlan& plan, int64_t micro_batch) {
  on_begin_("forward micro-batch " + std::to_string(micro_batch));
  fault_point("forward");
  Held& held = held_[static_cast<size_t>(micro_batch)];
  if (forward_in_) held.input = forward_in_->take(info(plan, micro_batch), /*is_leaf=*/true);
  {
    const auto span = timeline_.span(Lane::kForwardCompute, "comp", micro_batch);
    held.output = model.forward(micro_batch, held.input);
  }
  if (forward_out_) forward_out_->send(held.output.detach(), info(plan, micro_batch));
}

void Pipeline::backward(const StepPlan& plan, int64_t micro_batch) {
  on_begin_("backward micro-batch " + std::to_string(micro_batch));
  fault_point("backward");
  Held held = std::move(held_[static_cast<size_t>(micro_batch)]);
  at::Tensor gradient;
  if (backward_in_) gradient = backward_in_->take(info(plan, micro_batch), /*is_leaf=*/false);
  {
    const auto span = timeline_.span(Lane::kBackwardCompute, "comp", micro_batch);
    // A first stage may have nothing to train.
    if (held.output.requires_grad()) torch::autograd::backward({held.output}, {gradient});
  }
  if (!backward_out_) return;
  QTK_CHECK(held.input.grad().defined(), "the loss of micro-batch ", micro_batch,
            " does not depend on what stage ", mesh_.stage(), " received");
  backward_out_->send(held.input.grad(), info(plan, micro_batch));
}

}  // namespace qtk::dist
