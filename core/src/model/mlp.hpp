// The feed-forward part of a block: down(act(gate(x)) * up(x)), or down(act(up(x))).
#pragma once

#include "model/family.hpp"
#include "model/gradients.hpp"
#include "model/linear_slot.hpp"

#include <ATen/core/Tensor.h>

namespace qtk::model {

struct Mlp {
  LinearGroup inputs;  // gate and up, both in one, or up alone
  LinearGroup output;
  Activation activation;
  bool is_gated;

  at::Tensor forward(const at::Tensor& x, AttentionForm form = AttentionForm::kFused) const;

 private:
  at::Tensor gated(const at::Tensor& gate, const at::Tensor& up, AttentionForm form) const;
  at::Tensor activated(const at::Tensor& x) const;
};

/// silu(gate) * up for fp32 on the CPU without gradients; `out` [..., columns] is contiguous and
/// may be one of them.
void silu_times_fused(const at::Tensor& gate, const at::Tensor& up, at::Tensor& out);
/// The differentiable form.
at::Tensor silu_times_ref(const at::Tensor& gate, const at::Tensor& up);

}  // namespace qtk::model
