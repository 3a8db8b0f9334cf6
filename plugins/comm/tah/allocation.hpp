// Which units of a micro-batch get the low precision.
#pragma once

#include "message_layout.hpp"

#include <ATen/core/Tensor.h>

namespace qtk::tah {

/// Shannon entropy of |x| / sum |x| over the last dimension, in nats, f32; 0 where all x are 0.
///
///   H = -sum p ln p = ln A - (sum |x| ln |x|) / A,   A = sum |x|
at::Tensor entropy(const at::Tensor& x);

/// Lowest scores of each row. @param scores [rows, units_per_row]. @returns [units] uint8, 1: low
/// precision. Ties go to the earlier unit.
at::Tensor lowest(const at::Tensor& scores, int64_t low_per_row);

/// For each unit its place among those of its precision. @param is_low [units] uint8
/// @throws DataError if other than rows * low_per_row units are low: a damaged message
at::Tensor places(const at::Tensor& is_low, const Layout& layout);

}  // namespace qtk::tah
