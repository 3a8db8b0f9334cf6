// Codes at their true width.
#pragma once

#include <qtk/runtime/export.hpp>

#include <ATen/core/Tensor.h>

namespace qtk {

/// Packs codes of `bits` bits, row after row.
///
///   row of n codes -> ceil(n * bits / 8) bytes; code j occupies bits j*bits ... j*bits + bits - 1
///   of the row, bit k of the row being bit k % 8 (least significant first) of byte k / 8; unused
///   high bits of the last byte are 0
///
/// For 4 bits: two codes a byte, low nibble first.
/// @param codes  [rows, n] uint8, each below 2^bits, on the CPU
/// @param bits   1 to 8
/// @returns      [rows, ceil(n * bits / 8)] uint8
/// @throws Error if a code needs more bits
QTK_API at::Tensor pack_bits(const at::Tensor& codes, int bits);

/// Inverse of pack_bits. @param n codes per row. @returns [rows, n] uint8
QTK_API at::Tensor unpack_bits(const at::Tensor& packed, int bits, int64_t n);

}  // namespace qtk
