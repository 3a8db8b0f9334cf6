// Tensors of which nothing is known but the distribution.
#pragma once

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <cstdint>

namespace qtk::model {

/// Normal numbers, fp32.
inline at::Tensor random(at::IntArrayRef shape, uint64_t seed = 1) {
  const auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  return at::randn(shape, generator, at::TensorOptions(at::kFloat));
}

}  // namespace qtk::model
