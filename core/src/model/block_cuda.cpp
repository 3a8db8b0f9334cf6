#include "model/block_cuda.hpp"

#include "model/block_kernels.hpp"
#include "model/mlp.hpp"

#include <qtk/runtime/check.hpp>
#include <qtk/runtime/stream.hpp>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

namespace qtk::model {

#ifdef QTK_HAS_CUDA

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

FloatWidth width_of(const at::Tensor& x) {
  return x.scalar_type() == at::kFloat ? FloatWidth::kFloat : FloatWidth::kBfloat16;
}

/// [B, S, heads, head_dim] whose rows lie at equal distances.
at::Tensor with_even_rows(const at::Tensor& x) {
  const bool is_even = x.stride(3) == 1 && x.stride(2) == x.size(3) &&
                       (x.size(0) == 1 || x.stride(0) == x.size(1) * x.stride(1));
  return is_even ? x : x.contiguous();
}

at::Tensor rotated(const at::Tensor& x, const RotaryTable& table, bool is_inverse) {
  const auto in = with_even_rows(x);
  const auto cosines = table.cosines.contiguous(), sines = table.sines.contiguous();
  auto out = at::empty(x.sizes(), x.options());
  launch_rotate({.x = in.const_data_ptr(),
                 .out = out.mutable_data_ptr(),
                 .cosines = cosines.const_data_ptr<float>(),
                 .sines = sines.const_data_ptr<float>(),
                 .rows = x.size(0) * x.size(1),
                 .row_stride = in.stride(1),
                 .positions = x.size(1),
                 .heads = x.size(2),
                 .head_dim = x.size(3),
                 .half = cosines.size(1),
                 .is_inverse = is_inverse,
                 .width = width_of(x)},
                current_stream(x.device()));
  return out;
}

struct RotateFunction : torch::autograd::Function<RotateFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x,
                            const at::Tensor& cosines, const at::Tensor& sines) {
    context->save_for_backward({cosines, sines});
    return rotated(x, {cosines, sines}, /*is_inverse=*/false);
  }
  // A rotation's transpose is the rotation back.
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    return {rotated(gradients[0], {saved[0], saved[1]}, /*is_inverse=*/true), {}, {}};
  }
};

struct SiluTimesFunction : torch::autograd::Function<SiluTimesFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& gate,
                            const at::Tensor& up) {
    const auto g = gate.contiguous(), u = up.contiguous();
    context->save_for_backward({g, u});
    auto out = at::empty_like(g);
    launch_silu_times({.gate = g.const_data_ptr(),
                       .up = u.const_data_ptr(),
                       .out = out.mutable_data_ptr(),
                       .count = g.numel(),
                       .width = width_of(g)},
                      current_stream(g.device()));
    return out;
  }
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const auto &g = saved[0], &u = saved[1];
    const auto of_out = gradients[0].contiguous();
    auto of_gate = at::empty_like(g), of_up = at::empty_like(u);
    launch_silu_times_gradient({.gate = g.const_data_ptr(),
                                .up = u.const_data_ptr(),
                                .of_out = of_out.const_data_ptr(),
                                .of_gate = of_gate.mutable_data_ptr(),
                                .of_up = of_up.mutable_data_ptr(),
                                .count = g.numel(),
                                .width = width_of(g)},
                               current_stream(g.device()));
    return {of_gate, of_up};
  }
};

bool is_aligned(const at::Tensor& x) {
  return reinterpret_cast<uintptr_t>(x.const_data_ptr()) % 16 == 0 || !x.is_contiguous();
}

}  // namespace

bool has_block_kernels(const at::Tensor& x) {
  return x.device().is_cuda() &&
         (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16);
}

at::Tensor rotate_cuda(const at::Tensor& x, const RotaryTable& table) {
  return RotateFunction::apply(x, table.cosines, table.sines);
}

at::Tensor silu_times_cuda(const at::Tensor& gate, const at::Tensor& up) {
  const bool fits = gate.numel() % kVectorElements == 0 && gate.sizes() == up.sizes() &&
                    gate.scalar_type() == up.scalar_type() && is_aligned(gate) && is_aligned(up);
  return fits ? SiluTimesFunction::apply(gate, up) : silu_times_ref(gate, up);
}

#else

bool has_block_kernels(const at::Tensor&) { return false; }

at::Tensor rotate_cuda(const at::Tensor& x, const RotaryTable& table) {
  return rotate_ref(x, table);
}

at::Tensor silu_times_cuda(const at::Tensor& gate, const at::Tensor& up) {
  return silu_times_ref(gate, up);
}

#endif

}  // namespace qtk::model
