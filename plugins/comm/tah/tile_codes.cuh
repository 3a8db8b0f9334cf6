// Codes of the tiles of 64 elements of a warp, each written by the lane that has the tile.
#pragma once

#include "tile_facts.cuh"

#include <type_traits>

namespace qtk::tah {

/// Where a tile's codes go, and what they are made with.
struct Coding {
  float zero, scale;
  int bits;
  bool is_limited;  // quotients may lie beyond the codes
  uint8_t* to;

  __device__ unsigned code(float value, float divisor) const {
    const float levels = static_cast<float>((1 << bits) - 1),
                quotient = __fdiv_rn(__fsub_rn(value, zero), divisor);
    return static_cast<unsigned>(__float2int_rn(fminf(fmaxf(quotient, 0.0F), levels)));
  }
  __device__ float divisor() const { return scale > 0 ? scale : 1.0F; }
};

/// Numbers of a tile to codes times kSubnormal, not yet rounded. By a Reciprocal that is moderate,
/// of quotients within the codes.
__device__ inline void make_quotients(boundary::Octet& v, float zero,
                                      const boundary::Reciprocal& by) {
  // Less -0, a value of -0 becomes 0, whose f16 is the code 0.
  const float less = zero == 0 ? -0.0F : zero;
#pragma unroll
  for (float& value : v) {
    const float above = __fsub_rn(value, less);
    value = __fmaf_rn(above, by.inverse, __fmul_rn(above, by.rest));
  }
}

/// For each eighth of a tile, the first four codes in the lower half of a word, the others in the
/// upper.
template <class T>
__device__ void make_codes(const TileView<T>& tile, const Coding& coding,
                           const boundary::Reciprocal& by, unsigned (&codes)[8]) {
  const boundary::ShortPacker packer(coding.bits);
#pragma unroll
  for (int k = 0; k < 8; ++k) {
    boundary::Octet v;
    tile.octet(k, v);
    make_quotients(v, coding.zero, by);
    codes[k] = packer.pack(v);
  }
}

/// Whether make_clear_codes() may be used of bf16 numbers: then no quotient is so close to a half
/// without being one. A quotient is apart from a half by a multiple of the last places of x, of z
/// and of s / 2, over s. These are at least 2^-19 s, unless x or z is far below s; and such an x
/// counts only where -z / s is nearly a half itself.
__device__ inline bool has_clear_halves(float zero, float scale) {
  const float start = __fdividef(-zero, scale), rest = start - floorf(start);
  return fabsf(rest - 0.5F) > 0x1.1p-11F && (zero == 0 || fabsf(zero) > 0x1p-8F * scale);
}

/// make_codes() with an operation less. Beside 2^bits, f32 has a last place of 2^-19 or less: what
/// should be a half, but for the rounding of the inverse, is one.
template <class T>
__device__ void make_clear_codes(const TileView<T>& tile, const Coding& coding,
                                 const boundary::Reciprocal& by, unsigned (&codes)[8]) {
  const boundary::ShortPacker packer(coding.bits);
  const unsigned offset = 1U << coding.bits;
  const float base = static_cast<float>(offset) * boundary::kSubnormal;
  const unsigned offsets =
      packer.join(offset * 0x10001U, offset * 0x10001U, offset * 0x10001U, offset * 0x10001U);
#pragma unroll
  for (int k = 0; k < 8; ++k) {
    boundary::Octet v;
    tile.octet(k, v);
#pragma unroll
    for (float& value : v) value = __fmaf_rn(__fsub_rn(value, coding.zero), by.inverse, base);
    codes[k] = packer.pack(v) - offsets;
  }
}

/// Most significant bit first. @param to  at a multiple of eight bytes
__device__ inline void store_codes(const unsigned (&codes)[8], int bits, uint8_t* to) {
  auto* pairs = reinterpret_cast<uint2*>(to);
  if (bits == 4) {
#pragma unroll
    for (int k = 0; k < 4; ++k)
      pairs[k] = make_uint2(__byte_perm(codes[2 * k], 0, 0x2301),
                            __byte_perm(codes[2 * k + 1], 0, 0x2301));
    return;
  }
  unsigned eights[8];  // in the low 8 * bits bits, with more above them
#pragma unroll
  for (int k = 0; k < 8; ++k) eights[k] = (codes[k] << (4 * bits)) + (codes[k] >> 16);
  if (bits == 3) {
    unsigned words[6];
#pragma unroll
    for (int k = 0; k < 2; ++k) {
      const unsigned* four = eights + 4 * k;
      words[3 * k] = __byte_perm(four[0], four[1], 0x6012);
      words[3 * k + 1] = __byte_perm(four[1], four[2], 0x5601);
      words[3 * k + 2] = __byte_perm(four[2], four[3], 0x4560);
    }
#pragma unroll
    for (int k = 0; k < 3; ++k) pairs[k] = make_uint2(words[2 * k], words[2 * k + 1]);
  } else if (bits == 2) {
#pragma unroll
    for (int k = 0; k < 2; ++k)
      pairs[k] = make_uint2(__byte_perm(eights[4 * k], eights[4 * k + 1], 0x4501),
                            __byte_perm(eights[4 * k + 2], eights[4 * k + 3], 0x4501));
  } else {
#pragma unroll
    for (int k = 0; k < 8; ++k) to[k] = static_cast<uint8_t>(eights[k]);
  }
}

/// Eight codes one after the other, whatever the range is; in the low 8 * bits bits.
__device__ inline unsigned any_codes(const boundary::Octet& v, const Coding& coding) {
  const float divisor = coding.divisor();
  unsigned word = 0;
#pragma unroll
  for (const float value : v) word = word << coding.bits | coding.code(value, divisor);
  return word;
}

/// @param eighth  of the tile
__device__ inline void store_eighth(unsigned word, int bits, int eighth, uint8_t* to) {
  uint8_t* at = to + eighth * bits;
  if (bits == 4) {
    *reinterpret_cast<unsigned*>(at) = __byte_perm(word, 0, 0x0123);
  } else {
    for (int byte = 0; byte < bits; ++byte)
      at[byte] = static_cast<uint8_t>(word >> (8 * (bits - 1 - byte)));
  }
}

template <class T>
__device__ void write_codes(const TileView<T>& tile, const Coding& coding) {
  const boundary::Reciprocal by(coding.divisor());
  if (by.is_moderate && !coding.is_limited) {
    unsigned codes[8];
    if (std::is_same_v<T, __nv_bfloat16> && has_clear_halves(coding.zero, by.divisor))
      make_clear_codes(tile, coding, by, codes);
    else
      make_codes(tile, coding, by, codes);
    store_codes(codes, coding.bits, coding.to);
  } else {
#pragma unroll 1
    for (int k = 0; k < 8; ++k) {
      boundary::Octet v;
      tile.octet(k, v);
      store_eighth(any_codes(v, coding), coding.bits, k, coding.to);
    }
  }
}

/// Eight codes in the low 8 * bits bits. @param v  is overwritten
__device__ inline unsigned eighth_codes(boundary::Octet& v, const Coding& coding) {
  const boundary::Reciprocal by(coding.divisor());
  if (!by.is_moderate || coding.is_limited) return any_codes(v, coding);
  make_quotients(v, coding.zero, by);
  const unsigned codes = boundary::ShortPacker(coding.bits).pack(v);
  return (codes & 0xffffU) << (4 * coding.bits) | codes >> 16;
}

/// The codes of tiles that are cut or rotated, four at a time. @param lanes  whose they are
template <class T>
__device__ void write_changed_codes(const Plan& plan, unsigned lanes, const StagedTiles<T>& tiles,
                                    const TileFacts& facts, const Coding& coding) {
  for (; lanes != 0; lanes = TeamTurn::later(lanes)) {
    const TeamTurn turn(lanes);
    TeamTile tile(tiles.of_warp(turn.owner));
    tile.cut(plan.largest);
    const int pivot = turn.of_owner(facts.is_rotated ? facts.pivot : -1);
    TeamTile rotated = tile;
    rotated.rotate(max(pivot, 0), plan.rotation_scale);
#pragma unroll
    for (int i = 0; i < 8; ++i) tile.v[i] = pivot >= 0 ? rotated.v[i] : tile.v[i];
    const Coding own{
        .zero = turn.of_owner(coding.zero),
        .scale = turn.of_owner(coding.scale),
        .bits = turn.of_owner(coding.bits),
        .is_limited = turn.of_owner(static_cast<int>(coding.is_limited)) != 0,
        .to = reinterpret_cast<uint8_t*>(turn.of_owner(reinterpret_cast<uint64_t>(coding.to)))};
    if (turn.is_active) store_eighth(eighth_codes(tile.v, own), own.bits, tile.lane, own.to);
  }
}

}  // namespace qtk::tah
