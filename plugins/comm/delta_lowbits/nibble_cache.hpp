// The packed memory of one sample: codes of 2, 4 or 8 bits with an f16 scale per channel.
#pragma once

#include <ATen/core/Tensor.h>

namespace qtk::lowbits {

/// Bytes of packed [S, C] activations: codes, then 2 bytes of scale per channel.
int64_t cache_bytes(int64_t sequence, int64_t channels, int bits);

/// Codes as in fixpoint.hpp with the largest magnitude of each channel over the sequence as scale.
///
///   the channel axis is cut into 8 / bits equal parts; channel j of part k lies in byte j of its
///   row at bit position 8 - bits (k + 1): with 4 bits the first half in the high nibbles
///
/// @param m_SC  f32. @returns [cache_bytes] uint8
/// @throws Error unless 8 / bits divides C
at::Tensor pack_cache(const at::Tensor& m_SC, int bits);

/// [S, C] f32. @throws Error if `packed` was made for another shape
at::Tensor unpack_cache(const at::Tensor& packed, int64_t sequence, int64_t channels, int bits);

}  // namespace qtk::lowbits
