// A warp decodes a token, a lane a tile of it; the values go through shared memory, so that they
// leave 16 bytes beside 16 bytes.
#include "lane_tile.cuh"

#include <type_traits>

namespace qtk::tah {
namespace {

/// Bit `index` of a map in a message.
__device__ bool map_bit(const uint8_t* map, int index) {
  return __ldg(map + index / 8) >> (7 - index % 8) & 1;
}

/// What the message says of a tile.
struct Coded {
  unsigned words[8];
  unsigned short zero, scale;
  bool is_low, is_rotated, is_damaged;
};

/// Of a lane's tile, where `low` are the lanes of low precision in the token.
__device__ Coded load_tile(const Plan& plan, int token, unsigned low, const uint8_t* wire) {
  const int lane = static_cast<int>(threadIdx.x % 32), before = low_lanes_before(low),
            tile = token * plan.tiles + lane, low_tiles = token * plan.low_per_row;
  Coded coded{};
  coded.is_low = low >> lane & 1;
  const int in_token = coded.is_low ? before : lane - before,
            quota = coded.is_low ? plan.low_per_row : plan.tiles - plan.low_per_row,
            bits = coded.is_low ? plan.low_bits : plan.high_bits,
            unit = (coded.is_low ? low_tiles : token * plan.tiles - low_tiles) + in_token;
  coded.is_damaged = in_token >= quota;
  const auto* pairs =
      reinterpret_cast<const uint2*>(wire + (coded.is_low ? 0 : plan.high_at) + unit * (8 * bits));
#pragma unroll
  for (int k = 0; k < 4; ++k)
    if (k < bits && !coded.is_damaged) {
      const uint2 pair = __ldg(pairs + k);
      coded.words[2 * k] = pair.x, coded.words[2 * k + 1] = pair.y;
    }
  coded.zero = __ldg(reinterpret_cast<const unsigned short*>(wire + plan.zeros_at) + tile);
  coded.scale = __ldg(reinterpret_cast<const unsigned short*>(wire + plan.scales_at) + tile);
  coded.is_rotated = map_bit(wire + plan.rotation_at, tile);
  return coded;
}

/// Eight codes in the low 8 * bits bits of a word, for each eighth of a tile. Inverse of
/// store_codes() of the encoder.
__device__ void unpack_words(const unsigned (&words)[8], int bits, unsigned (&codes)[8]) {
  if (bits == 4) {
#pragma unroll
    for (int k = 0; k < 8; ++k) codes[k] = __byte_perm(words[k], 0, 0x0123);
  } else if (bits == 3) {
#pragma unroll
    for (int k = 0; k < 2; ++k) {
      const unsigned* three = words + 3 * k;
      codes[4 * k] = __byte_perm(three[0], 0, 0x4012);
      codes[4 * k + 1] = __byte_perm(three[0], three[1], 0x3345) & 0xffffffU;
      codes[4 * k + 2] = __byte_perm(three[1], three[2], 0x2234) & 0xffffffU;
      codes[4 * k + 3] = __byte_perm(three[2], 0, 0x4123);
    }
  } else if (bits == 2) {
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      codes[2 * k] = __byte_perm(words[k], 0, 0x4401);
      codes[2 * k + 1] = __byte_perm(words[k], 0, 0x4423);
    }
  } else {
#pragma unroll
    for (int k = 0; k < 8; ++k) codes[k] = words[k / 4] >> (8 * (k % 4)) & 0xffU;
  }
}

/// q s + z. The product of a code and a scale of at most 11 significant bits is exact, so that one
/// rounding does, unless it may be infinite.
__device__ void make_values(const unsigned (&codes)[8], int bits, float zero, float scale,
                            bool is_wide, float (&v)[kLaneTile]) {
#pragma unroll
  for (int k = 0; k < 8; ++k) {
    boundary::Octet q;
    boundary::unpack_codes(codes[k], bits, q);
#pragma unroll
    for (int i = 0; i < 8; ++i)
      v[8 * k + i] =
          is_wide ? __fadd_rn(__fmul_rn(q[i], scale), zero) : __fmaf_rn(q[i], scale, zero);
  }
}

template <class T>
__device__ void stage_values(float (&v)[kLaneTile], bool is_wide, uint4* staged) {
  T narrow[16 / sizeof(T)];
#pragma unroll
  for (int k = 0; k < Staged<T>::kVectors; ++k) {
#pragma unroll
    for (int i = 0; i < Staged<T>::kElements; ++i) {
      float value = v[Staged<T>::kElements * k + i];
      if (is_wide && sizeof(T) == 2) value = boundary::cut_to<T>(value);
      boundary::cast(value, narrow[i]);
    }
    staged[k] = *reinterpret_cast<const uint4*>(narrow);
  }
}

/// Whether q s + z, rounded once to bf16, is what two roundings, to f32 and from there, give. A sum
/// of 12 and 8 significant bits is exact in f32 or z rounds to itself, unless z is far below s and
/// not 0.
__device__ bool is_once_rounded(float zero, float scale) {
  return scale > 1e-30F && (zero == 0 || fabsf(zero) >= scale * 0x1p-8F);
}

/// The same in pairs of bf16, straight to shared memory.
__device__ void stage_pairs(const unsigned (&codes)[8], int bits, float zero, float scale,
                            uint4* staged) {
  constexpr unsigned k128 = 0x43004300U;  // pairs of 128, whose unit in the last place is 1
  const __nv_bfloat162 offset = __float2bfloat162_rn(-128.0F), zeros = __float2bfloat162_rn(zero),
                       scales = __float2bfloat162_rn(scale);
  const unsigned mask = ((1U << bits) - 1) * 0x10001U;
#pragma unroll
  for (int k = 0; k < 8; ++k) {
    // Codes 0 to 3 in the lower half, 4 to 7 in the upper.
    const unsigned halves = __byte_perm(codes[k] >> (4 * bits), codes[k], 0x5410);
    unsigned pair[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const unsigned q = (halves >> (bits * (3 - i)) & mask) | k128;
      const __nv_bfloat162 value =
          __hfma2(__hadd2(*reinterpret_cast<const __nv_bfloat162*>(&q), offset), scales, zeros);
      pair[i] = *reinterpret_cast<const unsigned*>(&value);
    }
    staged[k] =
        make_uint4(__byte_perm(pair[0], pair[1], 0x5410), __byte_perm(pair[2], pair[3], 0x5410),
                   __byte_perm(pair[0], pair[1], 0x7632), __byte_perm(pair[2], pair[3], 0x7632));
  }
}

__device__ float metadata_value(unsigned short bits, bool is_half) {
  return is_half ? half_value(bits) : __uint_as_float(static_cast<unsigned>(bits) << 16);
}

/// The lane's tile to shared memory. A damaged map of precisions makes it NaN.
template <class T>
__device__ void decode_tile(const Plan& plan, int tile, const Coded& coded, const uint8_t* wire,
                            uint4* staged) {
  const int bits = coded.is_low ? plan.low_bits : plan.high_bits;
  const float zero = coded.is_damaged ? NAN : metadata_value(coded.zero, plan.is_half),
              scale = metadata_value(coded.scale, plan.is_half);
  const float bound = (fabsf(zero) + fabsf(scale) * static_cast<float>(1 << bits)) *
                      (coded.is_rotated ? static_cast<float>(kLaneTile) : 1.0F);
  const bool is_wide = !(bound <= boundary::Largest<T>::kValue);
  unsigned codes[8];
  unpack_words(coded.words, bits, codes);
  if constexpr (std::is_same_v<T, __nv_bfloat16>) {
    if (!coded.is_rotated && !is_wide && !plan.is_half && is_once_rounded(zero, scale))
      return stage_pairs(codes, bits, zero, scale, staged);
  }
  float v[kLaneTile];
  make_values(codes, bits, zero, scale, is_wide, v);
  if (coded.is_rotated) {
    hadamard(v, plan.rotation_scale);
    swap_with_first(v, read_pivot(wire + plan.pivots_at, tile, plan.pivot_bits));
  }
  stage_values<T>(v, is_wide, staged);
}

template <class T>
__global__ void __launch_bounds__(kLaneThreads, kBlocksEach)
    lane_decode_kernel(const __grid_constant__ Plan plan, const uint8_t* wire, T* x) {
  extern __shared__ uint4 memory[];
  const int warp = static_cast<int>(threadIdx.x / 32), lane = static_cast<int>(threadIdx.x % 32);
  const int tokens = static_cast<int>(plan.tokens), step = static_cast<int>(gridDim.x) * kTokens;
  uint4* staged = memory + warp * plan.tiles * Staged<T>::kStride;
  const bool is_real = lane < plan.tiles;
  const auto is_low = [&](int token) {
    return token < tokens && is_real &&
           map_bit(wire + plan.precision_at, token * plan.tiles + lane);
  };
  const auto load = [&](int token, bool is_low) {
    const unsigned low = __ballot_sync(kAll, is_low);
    return token < tokens && is_real ? load_tile(plan, token, low, wire) : Coded{};
  };
  // What is decoded was asked for a token before, and its precisions two.
  wait_for_earlier_work();
  int token = static_cast<int>(blockIdx.x) * kTokens + warp;
  Coded coded = load(token, is_low(token));
  bool next_is_low = is_low(token + step);
  for (; token < tokens; token += step) {
    const Coded next = load(token + step, next_is_low);
    next_is_low = is_low(token + 2 * step);
    if (is_real)
      decode_tile<T>(plan, token * plan.tiles + lane, coded, wire,
                     staged + lane * Staged<T>::kStride);
    __syncwarp();
    auto* to = reinterpret_cast<uint4*>(x + static_cast<unsigned>(token * plan.channels));
    Staged<T>::for_each(plan.tiles, [&](int vector, int place) { to[vector] = staged[place]; });
    __syncwarp();
    coded = next;
  }
}

}  // namespace

void launch_lane_decode(const Plan& plan, const uint8_t* wire, void* x, boundary::Number type,
                        void* stream) {
  with_number(type, [&](auto number) {
    using T = decltype(number);
    const int shared = kTokens * plan.tiles * Staged<T>::kStride * 16;
    auto* kernel = lane_decode_kernel<T>;
    allow_shared(kernel, shared);
    launch_early("tah lane_decode_kernel",
                 {dim3(lane_blocks(plan, kernel, shared)), dim3(kLaneThreads),
                  static_cast<size_t>(shared), static_cast<cudaStream_t>(stream)},
                 kernel, plan, wire, static_cast<T*>(x));
  });
}

}  // namespace qtk::tah
