// Bits one after the other, most significant first; the last byte is filled with zeros.
#pragma once

#include <cstdint>
#include <vector>

namespace qtk::original {

class BitWriter {
 public:
  void write(uint32_t value, int bits) {
    for (int bit = bits - 1; bit >= 0; --bit) {
      if (used_ % 8 == 0) bytes_.push_back(0);
      const uint32_t one = value >> bit & 1U;
      bytes_.back() = static_cast<uint8_t>(bytes_.back() | one << (7 - used_ % 8));
      ++used_;
    }
  }
  const std::vector<uint8_t>& bytes() const { return bytes_; }

 private:
  std::vector<uint8_t> bytes_;
  int64_t used_ = 0;
};

}  // namespace qtk::original
