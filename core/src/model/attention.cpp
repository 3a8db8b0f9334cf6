#include "model/attention.hpp"

#include "model/attention_cpu.hpp"
#include "model/block_cuda.hpp"
#include "model/gradients.hpp"

#include <qtk/runtime/check.hpp>

#include <ATen/ATen.h>

#include <cmath>
#include <limits>

namespace qtk::model {
namespace {

/// [S, S] bool, true where query i (row) sees key j: 0 <= i - j < window.
at::Tensor visible_keys(int64_t positions, int64_t window, c10::Device device) {
  return at::ones({positions, positions}, at::TensorOptions(at::kBool).device(device))
      .tril()
      .triu(1 - window);
}

/// Keys of one head serve `heads / kv_heads` queries; they are laid side by side along the rows
/// instead of repeating the keys.
at::Tensor plain_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                           const at::Tensor& visible) {
  const int64_t batch = q.size(0), positions = q.size(2), head_dim = q.size(3),
                kv_heads = k.size(1);
  const int64_t group = q.size(1) / kv_heads;
  const auto rows = q.reshape({batch, kv_heads, group * positions, head_dim});
  const auto hidden = visible.logical_not().repeat({group, 1});
  const auto scores =
      at::matmul(rows, k.transpose(-1, -2)) / std::sqrt(static_cast<double>(head_dim));
  const auto weights =
      at::softmax(scores.masked_fill(hidden, -std::numeric_limits<double>::infinity()), -1);
  return at::matmul(weights, v).reshape({batch, kv_heads * group, positions, head_dim});
}

bool uses_kernel(const AttentionHeads& heads) {
  return runs_fused({heads.queries, heads.keys, heads.values}) &&
         best_cpu_attention() != CpuAttention::kNone && heads.queries.stride(-1) == 1 &&
         heads.keys.stride(-1) == 1 && heads.values.stride(-1) == 1;
}

}  // namespace

at::Tensor attention_ref(const AttentionHeads& heads, const RotaryTable& rotary,
                         std::optional<int64_t> window, AttentionForm form) {
  const auto placed = [&](const at::Tensor& x) {
    if (!rotary.cosines.defined()) return x;
    const bool is_fused = form == AttentionForm::kFused && has_block_kernels(x);
    return is_fused ? rotate_cuda(x, rotary) : rotate_ref(x, rotary);
  };
  const auto q = placed(heads.queries).transpose(1, 2), k = placed(heads.keys).transpose(1, 2);
  const auto v = heads.values.transpose(1, 2);
  const int64_t positions = q.size(2), reach = window.value_or(positions);
  if (form == AttentionForm::kTwiceDifferentiable)
    return plain_attention(q, k, v, visible_keys(positions, reach, q.device())).transpose(1, 2);
  std::optional<at::Tensor> mask;
  if (reach < positions) mask = visible_keys(positions, reach, q.device());
  const bool is_grouped = q.size(1) != k.size(1);
  return at::scaled_dot_product_attention(q, k, v, mask, /*dropout_p=*/0, /*is_causal=*/!mask,
                                          std::nullopt, is_grouped)
      .transpose(1, 2);
}

AttentionHeads Attention::heads(const at::Tensor& x, AttentionForm form) const {
  auto outputs = inputs.forward(x);
  const int64_t queries = num_heads * head_dim, keys = num_kv_heads * head_dim;
  if (outputs.size() == 1) outputs = outputs.front().split_with_sizes({queries, keys, keys}, -1);
  QTK_CHECK(outputs.size() == 3, "attention has ", outputs.size(), " inputs");
  const auto by_head = [&](const at::Tensor& t, int64_t count) {
    return t.unflatten(-1, {count, head_dim});
  };
  AttentionHeads split{by_head(outputs[0], num_heads), by_head(outputs[1], num_kv_heads),
                       by_head(outputs[2], num_kv_heads)};
  if (query_norm) split.queries = query_norm->forward(split.queries, form);
  if (key_norm) split.keys = key_norm->forward(split.keys, form);
  return split;
}

at::Tensor Attention::forward(const at::Tensor& x, const RotaryTable& rotary,
                              AttentionForm form) const {
  const auto split = heads(x, form);
  const auto mixed = uses_kernel(split)
                         ? cpu_attention(split.queries, split.keys, split.values, rotary, window)
                         : attention_ref(split, rotary, window, form);
  return output.forward_single(mixed.flatten(-2));
}

}  // namespace qtk::model
