// Ternary codes at 1.6 bits: five in a byte.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace qtk::latent {

/// Bytes of a row of `n` codes: ceil(n / 5).
int64_t base3_bytes(int64_t n);

/// Packs codes 0, 1, 2 row after row.
///
///   byte k of a row = c[5k] + 3 c[5k+1] + 9 c[5k+2] + 27 c[5k+3] + 81 c[5k+4]   (0 to 242)
///
/// Codes that a last byte has room for but the row has not are 0. 8 / 5 = 1.6 bits per code.
/// @param codes  [rows, n] uint8 below 3, on the CPU, contiguous
/// @returns      [rows, base3_bytes(n)] uint8
at::Tensor pack_base3(const at::Tensor& codes);

/// Inverse of pack_base3. @returns [rows, n] uint8
/// @throws DataError if a byte is above 242
at::Tensor unpack_base3(const at::Tensor& packed, int64_t n);

}  // namespace qtk::latent
