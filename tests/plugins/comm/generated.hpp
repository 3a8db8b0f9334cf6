// The generator and the check sum of the published vectors.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <span>
#include <vector>

namespace qtk::testing {

/// n multiples of 1/64 from a linear congruential generator, fp32; with outliers every 97th from
/// the sixth on is enlarged.
inline at::Tensor generated(uint32_t seed, int64_t n, bool has_outliers = true) {
  std::vector<float> values;
  uint32_t state = seed;
  for (int64_t i = 0; i < n; ++i) {
    state = 1664525 * state + 1013904223;
    const float value = static_cast<float>(static_cast<int>(state >> 24 & 255) - 128) / 64;
    values.push_back(has_outliers && i % 97 == 5 ? 32 * value : value);
  }
  return at::tensor(values, at::kFloat);
}

/// IEEE polynomial, as zlib's.
inline uint32_t crc32(std::span<const uint8_t> bytes) {
  uint32_t crc = 0xffffffff;
  for (const uint8_t byte : bytes) {
    crc ^= byte;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc;
}

}  // namespace qtk::testing
