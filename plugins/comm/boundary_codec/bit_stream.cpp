#include "boundary_codec/bit_stream.hpp"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstring>

namespace qtk::boundary {
namespace {

// Eight codes of b bits are b whole bytes, so groups of eight can be packed independently.
constexpr int64_t kGroup = 8;
constexpr int64_t kGroupsPerTask = 8192;

inline void pack_group(const uint8_t* codes, int64_t count, int bits, uint8_t* packed) {
  uint64_t stream = 0;
  for (int64_t i = 0; i < count; ++i) stream = stream << bits | codes[i];
  stream <<= bits * (kGroup - count);
  for (int64_t byte = 0; byte < packed_bytes(count, bits); ++byte)
    packed[byte] = static_cast<uint8_t>(stream >> (8 * (bits - 1 - byte)));
}

inline void unpack_group(const uint8_t* packed, int64_t count, int bits, uint8_t* codes) {
  uint64_t stream = 0;
  for (int64_t byte = 0; byte < packed_bytes(count, bits); ++byte)
    stream |= static_cast<uint64_t>(packed[byte]) << (8 * (bits - 1 - byte));
  const uint64_t mask = (1U << bits) - 1;
  for (int64_t i = 0; i < count; ++i)
    codes[i] = static_cast<uint8_t>(stream >> (bits * (kGroup - 1 - i)) & mask);
}

/// Whole groups with a width that the compiler knows, so that it unrolls their loops.
template <int kBits>
void pack_whole(const uint8_t* codes, int64_t groups, uint8_t* packed) {
  for (int64_t group = 0; group < groups; ++group)
    pack_group(codes + group * kGroup, kGroup, kBits, packed + group * kBits);
}
template <int kBits>
void unpack_whole(const uint8_t* packed, int64_t groups, uint8_t* codes) {
  for (int64_t group = 0; group < groups; ++group)
    unpack_group(packed + group * kBits, kGroup, kBits, codes + group * kGroup);
}

using Whole = void (*)(const uint8_t* from, int64_t groups, uint8_t* to);
constexpr Whole kPackWhole[] = {pack_whole<1>, pack_whole<2>, pack_whole<3>, pack_whole<4>,
                                pack_whole<5>, pack_whole<6>, pack_whole<7>};
constexpr Whole kUnpackWhole[] = {unpack_whole<1>, unpack_whole<2>, unpack_whole<3>,
                                  unpack_whole<4>, unpack_whole<5>, unpack_whole<6>,
                                  unpack_whole<7>};

template <class Part>
void for_each_part(int64_t groups, const Part& part) {
  at::parallel_for(0, groups, kGroupsPerTask,
                   [&](int64_t begin, int64_t end) { part(begin, end - begin); });
}

}  // namespace

int64_t packed_bytes(int64_t count, int bits) { return (count * bits + 7) / 8; }

void pack_codes(const uint8_t* codes, int64_t count, int bits, uint8_t* packed) {
  if (count == 0) return;
  if (bits == 8) {
    std::memcpy(packed, codes, static_cast<size_t>(count));
    return;
  }
  const int64_t groups = count / kGroup, rest = count % kGroup;
  for_each_part(groups, [&](int64_t begin, int64_t size) {
    kPackWhole[bits - 1](codes + begin * kGroup, size, packed + begin * bits);
  });
  if (rest > 0) pack_group(codes + groups * kGroup, rest, bits, packed + groups * bits);
}

void unpack_codes(const uint8_t* packed, int64_t count, int bits, uint8_t* codes) {
  if (count == 0) return;
  if (bits == 8) {
    std::memcpy(codes, packed, static_cast<size_t>(count));
    return;
  }
  const int64_t groups = count / kGroup, rest = count % kGroup;
  for_each_part(groups, [&](int64_t begin, int64_t size) {
    kUnpackWhole[bits - 1](packed + begin * bits, size, codes + begin * kGroup);
  });
  if (rest > 0) unpack_group(packed + groups * bits, rest, bits, codes + groups * kGroup);
}

}  // namespace qtk::boundary
