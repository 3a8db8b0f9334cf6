#include "model/gradients.hpp"

#include <qtk/linear_product.hpp>

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/autograd/custom_function.h>

namespace qtk {
namespace {

using Fused = at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&,
                         c10::string_view, c10::List<std::optional<at::Scalar>>,
                         std::optional<c10::string_view>);

/// LibTorch's operator on oneDNN for plain tensors, if this build of LibTorch has it.
const c10::TypedOperatorHandle<Fused>* onednn_linear() {
  static const auto found = [] {
    const auto handle = c10::Dispatcher::singleton().findSchema({"mkldnn::_linear_pointwise", ""});
    return handle && at::hasMKLDNN() ? std::make_optional(handle->typed<Fused>()) : std::nullopt;
  }();
  return found ? &*found : nullptr;
}

bool runs_on_onednn(const at::Tensor& x) {
  return x.device().is_cpu() && x.scalar_type() == at::kFloat && x.numel() > 0 && onednn_linear();
}

at::Tensor plain_product(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  std::optional<at::Tensor> addend;
  if (bias.defined()) addend = bias.to(at::kFloat);
  const c10::List<std::optional<at::Scalar>> no_arguments;
  return onednn_linear()->call(x, weight.to(at::kFloat), addend, "none", no_arguments, "");
}

/// dL/dW [outputs, inputs] of dL/dy [tokens, outputs] and x [tokens, inputs]. oneDNN writes its
/// first operand anew where that is a transpose, so the narrow one comes first if what turning the
/// result back costs is less than what that saves.
at::Tensor weight_gradient(const at::Tensor& grad, const at::Tensor& x) {
  const int64_t tokens = grad.size(0), outputs = grad.size(1), inputs = x.size(1);
  if (inputs * (tokens + outputs) < outputs * tokens) return linear_product(x.t(), grad.t()).t();
  return linear_product(grad.t(), x.t());
}

// Keeps the weight in its stored dtype between forward and backward. The backward pass calls the
// product again, which makes it differentiable in turn.
struct LinearFunction : torch::autograd::Function<LinearFunction> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x,
                            const at::Tensor& weight, const std::optional<at::Tensor>& bias) {
    context->save_for_backward({x, weight});
    if (bias) context->saved_data["bias_dtype"] = bias->scalar_type();
    return plain_product(x, weight, bias.value_or(at::Tensor()));
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& grads) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], &grad = grads[0];
    const at::Tensor grad_rows = grad.reshape({-1, grad.size(-1)});
    at::Tensor of_x, of_weight, of_bias;
    if (context->needs_input_grad(0)) of_x = linear_product(grad, weight.t());
    if (context->needs_input_grad(1))
      of_weight = weight_gradient(grad_rows, x.reshape({-1, x.size(-1)})).to(weight.scalar_type());
    const auto bias_dtype = context->saved_data.find("bias_dtype");
    if (bias_dtype != context->saved_data.end() && context->needs_input_grad(2))
      of_bias = grad_rows.sum(0).to(bias_dtype->second.toScalarType());
    return {of_x, of_weight, of_bias};
  }
};

}  // namespace

at::Tensor linear_product(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  if (!runs_on_onednn(x)) {
    const auto dtype = x.scalar_type();
    return at::linear(x, weight.to(dtype),
                      bias.defined() ? std::optional(bias.to(dtype)) : std::nullopt);
  }
  if (!model::needs_gradient({x, weight, bias})) return plain_product(x, weight, bias);
  return LinearFunction::apply(x, weight, bias.defined() ? std::optional(bias) : std::nullopt);
}

}  // namespace qtk
