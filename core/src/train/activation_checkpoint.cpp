#include "train/activation_checkpoint.hpp"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

namespace qtk::train {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct CheckpointedBlock : torch::autograd::Function<CheckpointedBlock> {
  /// @param anchor  requires a gradient, so that the block is recorded even where its input is a
  /// constant
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor&,
                            model::Decoder* decoder, int64_t layer) {
    context->save_for_backward({x});
    context->saved_data["decoder"] = reinterpret_cast<int64_t>(decoder);
    context->saved_data["layer"] = layer;
    const at::NoGradGuard no_grad;
    return decoder->block(layer, x);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    auto* decoder = reinterpret_cast<model::Decoder*>(context->saved_data["decoder"].toInt());
    const int64_t layer = context->saved_data["layer"].toInt();
    const c10::AutoGradMode records(true);
    const auto x = context->get_saved_variables()[0].detach().requires_grad_();
    const auto y = decoder->block(layer, x);
    torch::autograd::backward({y}, {gradients[0]});
    return {x.grad(), {}, {}, {}};
  }
};

}  // namespace

at::Tensor checkpointed_block(model::Decoder& decoder, int64_t layer, const at::Tensor& x) {
  const auto anchor = at::empty({0}, x.options()).requires_grad_();
  return CheckpointedBlock::apply(x, anchor, &decoder, layer);
}

}  // namespace qtk::train
