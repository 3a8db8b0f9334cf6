#include "boundary_codec/bit_stream.hpp"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstring>

namespace qtk::boundary {
namespace {

// Eight codes of b bits are b whole bytes, so groups of eight can be packed independently.
constexpr int64_t kGroup = 8;
constexpr int64_t kGroupsPerTask = 8192;

void pack_group(const uint8_t* codes, int64_t count, int bits, uint8_t* packed) {
  uint64_t stream = 0;
  for (int64_t i = 0; i < count; ++i) stream = stream << bits | codes[i];
  stream <<= bits * (kGroup - count);
  for (int64_t byte = 0; byte < packed_bytes(count, bits); ++byte)
    packed[byte] = static_cast<uint8_t>(stream >> (8 * (bits - 1 - byte)));
}

void unpack_group(const uint8_t* packed, int64_t count, int bits, uint8_t* codes) {
  uint64_t stream = 0;
  for (int64_t byte = 0; byte < packed_bytes(count, bits); ++byte)
    stream |= static_cast<uint64_t>(packed[byte]) << (8 * (bits - 1 - byte));
  const uint64_t mask = (1U << bits) - 1;
  for (int64_t i = 0; i < count; ++i)
    codes[i] = static_cast<uint8_t>(stream >> (bits * (kGroup - 1 - i)) & mask);
}

template <class Group>
void for_each_group(int64_t count, const Group& group) {
  at::parallel_for(0, (count + kGroup - 1) / kGroup, kGroupsPerTask, [&](int64_t at, int64_t end) {
    for (; at < end; ++at) group(at, std::min(kGroup, count - at * kGroup));
  });
}

}  // namespace

int64_t packed_bytes(int64_t count, int bits) { return (count * bits + 7) / 8; }

void pack_codes(const uint8_t* codes, int64_t count, int bits, uint8_t* packed) {
  if (count == 0) return;
  if (bits == 8) {
    std::memcpy(packed, codes, static_cast<size_t>(count));
    return;
  }
  for_each_group(count, [&](int64_t group, int64_t size) {
    pack_group(codes + group * kGroup, size, bits, packed + group * bits);
  });
}

void unpack_codes(const uint8_t* packed, int64_t count, int bits, uint8_t* codes) {
  if (count == 0) return;
  if (bits == 8) {
    std::memcpy(codes, packed, static_cast<size_t>(count));
    return;
  }
  for_each_group(count, [&](int64_t group, int64_t size) {
    unpack_group(packed + group * bits, size, bits, codes + group * kGroup);
  });
}

}  // namespace qtk::boundary
