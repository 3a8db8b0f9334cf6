// How a trainable tensor is kept between steps. Optimizers compute in fp32 and go through this, so
// that their mathematics exists once whatever the storage is.
#pragma once

#include <qtk/runtime/export.hpp>
#include <qtk/runtime/random.hpp>

#include <ATen/core/Tensor.h>

namespace qtk {

/// Ownership: shared between the method and the optimizer. Not thread-safe.
class QTK_API ParamStorage {
 public:
  virtual ~ParamStorage();
  /// The value in fp32, shape of the gradient. May alias the storage if that is fp32 already.
  virtual at::Tensor read() const = 0;
  /// Stores `value` (fp32, same shape), rounding as the storage demands; `random` feeds stochastic
  /// rounding. One write per optimizer step.
  virtual void write(const at::Tensor& value, RandomStream random) = 0;
};

}  // namespace qtk
