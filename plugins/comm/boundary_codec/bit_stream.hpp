// Codes at their true width, most significant bit first, as the messages of TAH-Quant hold them.
// (qtk/bit_packing.hpp packs least significant bit first and pads every row.)
#pragma once

#include <cstdint>

namespace qtk::boundary {

/// Bytes of `count` codes: ceil(count * bits / 8).
int64_t packed_bytes(int64_t count, int bits);

/// Writes packed_bytes(count, bits) bytes: each code's bits most significant first, no alignment
/// between codes, zero bits at the low end of the last byte.
/// @param codes  each below 2^bits, bits in 1..8
void pack_codes(const uint8_t* codes, int64_t count, int bits, uint8_t* packed);

/// Inverse of pack_codes.
void unpack_codes(const uint8_t* packed, int64_t count, int bits, uint8_t* codes);

}  // namespace qtk::boundary
