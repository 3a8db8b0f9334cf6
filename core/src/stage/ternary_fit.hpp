// Whether a model's weights survive in GGUF's ternary types, which have few levels and one scale a
// block: asked before anything is written, so that an export is lossless or does not happen.
#pragma once

#include "format/ggml_blocks.hpp"

#include <qtk/api/linear_site.hpp>
#include <qtk/api/quantizer.hpp>

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

namespace qtk::stage {

/// TQ1_0 and TQ2_0: -1, 0, 1 times a scale for 256 weights. Q2_0: -1, 0, 1, 2 times a scale of
/// either sign for 64.
bool is_ternary_type(const format::GgmlType& type);

/// What rounding the blocks' scales to f16 did to weights that fit.
struct ScaleRounding {
  int64_t num_weights = 0;
  /// max |f16(d) / d - 1|: at most 2^-11, more only where |d| < 2^-14 (f16 has fewer digits there)
  double largest = 0;

  void add(const ScaleRounding& other);
  /// "14 ternary weights with equal codes, scales exact" or "..., scales within 3.1e-04"
  std::string text() const;
};

/// Checks every block of one weight.
/// @param weight  [out, in] of the site, as deployed
/// @param layer  its quantizer's layer, for the reason; may be null
/// @throws ConfigError with the layer, the block and the reason if a value would change by more
/// than the rounding of a scale to f16, or if a scale is beyond the range of f16
ScaleRounding require_ternary_fit(const format::GgmlType& type, const LinearSite& site,
                                  const at::Tensor& weight, const QuantizedLinear* layer);

}  // namespace qtk::stage
