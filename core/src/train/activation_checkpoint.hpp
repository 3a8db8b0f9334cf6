// A block whose inner activations are not kept but made again in the backward pass (Chen et al.
// 2016): memory of one block input instead of all its intermediates, for one more forward pass.
#pragma once

#include "model/decoder.hpp"

#include <ATen/core/Tensor.h>

namespace qtk::train {

/// decoder.block(layer, x) with the same gradients. Gradients of the block's parameters are added
/// to their `grad` during the backward pass. Differentiable once.
at::Tensor checkpointed_block(model::Decoder& decoder, int64_t layer, const at::Tensor& x);

}  // namespace qtk::train
