// What compressors are measured on: the tensor that crosses from one pipeline stage to the next,
// as random numbers or as a model computes it.
#pragma once

#include <qtk/runtime/run_context.hpp>

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>

namespace qtk::stage {

/// Shapes: B windows of a micro-batch, S tokens, C channels.
using BoundaryShape = std::array<int64_t, 3>;

/// Two visits of the same samples, as two epochs see them: the second differs by noise of 5 % of
/// each channel's root mean square.
struct BoundaryData {
  std::string description;
  at::Tensor first, second;  // [B, S, C]
};

/// Standard normal, with every 128th channel (17, 145, ...) 20 times as large.
BoundaryData random_boundary(const BoundaryShape& shape, at::ScalarType dtype, c10::Device device,
                             uint64_t seed);

/// The activations after layer `layer` (1: after the first one) on the first B x S tokens of a
/// text.
/// @throws DataError if the text is too short, ConfigError if the model has no such layer
BoundaryData captured_boundary(const std::filesystem::path& model,
                               const std::filesystem::path& text, int64_t layer, int64_t windows,
                               int64_t tokens, at::ScalarType dtype, RunContext& context);

}  // namespace qtk::stage
