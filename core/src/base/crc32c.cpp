#include "base/crc32c.hpp"

#include <array>

namespace qtk {
namespace {

constexpr std::array<uint32_t, 256> remainders() {
  constexpr uint32_t kReflected = 0x82F63B78;
  std::array<uint32_t, 256> table{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t rest = byte;
    for (int bit = 0; bit < 8; ++bit) rest = (rest >> 1) ^ ((rest & 1) != 0 ? kReflected : 0);
    table[byte] = rest;
  }
  return table;
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  static constexpr auto kTable = remainders();
  uint32_t rest = 0xFFFFFFFF;
  for (const char c : bytes) rest = (rest >> 8) ^ kTable[(rest ^ static_cast<uint8_t>(c)) & 0xFF];
  return ~rest;
}

}  // namespace qtk
