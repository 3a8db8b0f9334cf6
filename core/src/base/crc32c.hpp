// CRC-32C (Castagnoli), as in RFC 3720 appendix B.4: what TFRecord files are checked with.
#pragma once

#include <cstdint>
#include <string_view>

namespace qtk {

/// Polynomial 0x1EDC6F41, reflected, start and final xor 0xFFFFFFFF. One byte a step: for records
/// of some hundred bytes.
uint32_t crc32c(std::string_view bytes);

}  // namespace qtk
