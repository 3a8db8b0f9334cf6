// The training loss, without ever holding tokens x vocabulary: logits are made for a chunk of
// tokens, turned into their gradient in place and multiplied away before the next chunk. The
// gradients of the hidden states and of the head are therefore ready when the loss is.
//
// Shapes: N tokens, D hidden size, V vocabulary.
#pragma once

#include "model/cross_entropy.hpp"

#include <ATen/core/Tensor.h>

namespace qtk::train {

struct LossSettings {
  /// Of the Kullback-Leibler divergence from the teacher; cross-entropy has the rest, 1 - weight.
  double divergence_weight = 0;
  double temperature = 1;  // of the divergence
};

/// What is predicted, and what counts.
struct Predictions {
  at::Tensor hidden;   // [N, D] in the compute dtype, after the final norm
  at::Tensor targets;  // [N] int64 on the same device; text::kUnscoredTarget counts nothing
  double scale = 1;    // of every token's loss: one over the predictions of the whole step
};

/// Where the teacher stands for the same tokens; undefined tensors without one.
struct TeacherView {
  at::Tensor hidden;  // [N, D'] in the compute dtype
  at::Tensor weight;  // [V, D']
};

/// Sums over the tokens, times `scale`.
struct TokenLoss {
  at::Tensor loss;           // [] fp32, differentiable once in hidden states and head
  at::Tensor cross_entropy;  // [] fp32, no gradient
  at::Tensor divergence;     // [] fp32, no gradient; T^2 KL(teacher || model) (Hinton et al. 2015)
};

/// @param weight  [V, D], any floating dtype. A tied head is the embedding itself: the gradients of
/// both uses add up as everywhere in autograd
TokenLoss token_loss(const Predictions& predictions, const at::Tensor& weight,
                     const LossSettings& settings = {}, const TeacherView& teacher = {});

/// For heads that only project (a quantized layer): the gradients of the head's own tensors are
/// added to them at once, those of the hidden states flow as usual.
TokenLoss projected_token_loss(const Predictions& predictions, const model::Head& head,
                               const LossSettings& settings = {}, const TeacherView& teacher = {});

/// The same on all logits [N, V] at once, in plain differentiable operations.
TokenLoss token_loss_ref(const at::Tensor& logits, const at::Tensor& targets, double scale,
                         const LossSettings& settings, const at::Tensor& teacher_logits);

}  // namespace qtk::train
