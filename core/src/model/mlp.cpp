#include "model/mlp.hpp"

#include "model/block_cuda.hpp"
#include "model/gradients.hpp"
#include "model/kernels_cpu.hpp"

#include <qtk/runtime/check.hpp>

#include <ATen/ATen.h>

namespace qtk::model {
namespace {

/// A view [rows, columns] whose rows are contiguous; copies only if there is none.
at::Tensor as_rows(const at::Tensor& x) {
  const auto rows = x.flatten(0, -2);
  return rows.stride(-1) == 1 ? rows : rows.contiguous();
}

Rows<const float> reading(const at::Tensor& rows) {
  return {rows.const_data_ptr<float>(), rows.stride(0)};
}

}  // namespace

at::Tensor silu_times_ref(const at::Tensor& gate, const at::Tensor& up) {
  return at::silu(gate) * up;
}

void silu_times_fused(const at::Tensor& gate, const at::Tensor& up, at::Tensor& out) {
  const auto gates = as_rows(gate), ups = as_rows(up);
  const int64_t columns = gate.size(-1);
  silu_times_rows(reading(gates), reading(ups), gates.size(0), columns,
                  {out.mutable_data_ptr<float>(), columns});
}

at::Tensor Mlp::gated(const at::Tensor& gate, const at::Tensor& up, AttentionForm form) const {
  if (activation != Activation::kSilu) return activated(gate) * up;
  if (form == AttentionForm::kFused && has_block_kernels(gate)) return silu_times_cuda(gate, up);
  if (!runs_fused({gate, up})) return silu_times_ref(gate, up);
  auto out =
      inputs.is_dense() && gate.is_contiguous() ? gate : at::empty(gate.sizes(), gate.options());
  silu_times_fused(gate, up, out);
  return out;
}

at::Tensor Mlp::activated(const at::Tensor& x) const {
  return activation == Activation::kSilu ? at::silu(x) : at::gelu(x, "tanh");
}

at::Tensor Mlp::forward(const at::Tensor& x, AttentionForm form) const {
  auto outputs = inputs.forward(x);
  if (is_gated && outputs.size() == 1) outputs = outputs.front().chunk(2, -1);
  QTK_CHECK(outputs.size() == (is_gated ? 2u : 1u), "mlp has ", outputs.size(), " inputs");
  return output.forward_single(is_gated ? gated(outputs[0], outputs[1], form)
                                        : activated(outputs[0]));
}

}  // namespace qtk::model
