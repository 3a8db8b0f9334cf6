// A warp encodes a token, a lane a tile of it. Tokens come into shared memory one ahead of the
// work, so that lanes read whole tiles from there; codes go straight to the message.
#include "entropy_sums.cuh"
#include "lane_tile.cuh"

namespace qtk::tah {
namespace {

/// NaN is passed over.
struct Range {
  float least, most;

  __device__ float largest_magnitude() const {
    return fmaxf(fmaxf(fabsf(least), fabsf(most)), 0.0F);  // 0 of NaN
  }
  /// Magnitude of another element, so a bound from below of the second largest one.
  __device__ float other_magnitude() const { return fminf(fabsf(least), fabsf(most)); }
};

__device__ Range range_of(const float (&v)[kLaneTile]) {
  Range range{v[0], v[0]};
#pragma unroll
  for (int i = 1; i < kLaneTile; ++i)
    range.least = fminf(range.least, v[i]), range.most = fmaxf(range.most, v[i]);
  return range;
}

/// A tile from shared memory, and its range; of 16-bit numbers two at a time.
template <class T>
__device__ Range load_tile(const uint4* staged, float (&v)[kLaneTile]) {
  constexpr int kVectors = Staged<T>::kVectors;
  if constexpr (sizeof(T) == 4) {
#pragma unroll
    for (int k = 0; k < kVectors; ++k) {
      const uint4 raw = staged[k];
      v[4 * k] = __uint_as_float(raw.x), v[4 * k + 1] = __uint_as_float(raw.y);
      v[4 * k + 2] = __uint_as_float(raw.z), v[4 * k + 3] = __uint_as_float(raw.w);
    }
    return range_of(v);
  } else {
    using Pair = typename PairOf<T>::Type;
    const auto pair = [](const unsigned& word) { return *reinterpret_cast<const Pair*>(&word); };
    Pair least, most;
#pragma unroll
    for (int k = 0; k < kVectors; ++k) {
      const uint4 raw = staged[k];
      if (k == 0) least = most = pair(raw.x);
      least = __hmin2(__hmin2(least, pair(raw.x)), pair(raw.y));
      most = __hmax2(__hmax2(most, pair(raw.x)), pair(raw.y));
      least = __hmin2(__hmin2(least, pair(raw.z)), pair(raw.w));
      most = __hmax2(__hmax2(most, pair(raw.z)), pair(raw.w));
      boundary::Octet eight;
      boundary::unpack(raw, eight, static_cast<const T*>(nullptr));
#pragma unroll
      for (int i = 0; i < 8; ++i) v[8 * k + i] = eight[i];
    }
    return {fminf(boundary::widen(least.x), boundary::widen(least.y)),
            fmaxf(boundary::widen(most.x), boundary::widen(most.y))};
  }
}

__device__ void cut_values(float (&v)[kLaneTile], float largest) {
#pragma unroll
  for (float& value : v)
    if (fabsf(value) > largest && fabsf(value) < INFINITY) value = copysignf(largest, value);
}

/// In the order in which four threads with two runs each, half a tile apart, would add them.
template <class Add>
__device__ EntropySums sum_up(const float (&v)[kLaneTile], const Add& add) {
  EntropySums part[4];
#pragma unroll
  for (int run = 0; run < 2; ++run)
#pragma unroll
    for (int i = 0; i < 8; ++i)
#pragma unroll
      for (int k = 0; k < 4; ++k) add(part[k], v[run * (kLaneTile / 2) + 8 * k + i]);
  part[0].join(part[1]), part[2].join(part[3]);
  part[0].join(part[2]);
  return part[0];
}

__device__ EntropySums entropy_sums(const float (&v)[kLaneTile], float unit) {
  EntropySums sums =
      sum_up(v, [&](EntropySums& part, float value) { part.add_nonzero(value, unit); });
  if (!sums.is_finite())
    sums = sum_up(v, [&](EntropySums& part, float value) { part.add(value, unit); });
  return sums;
}

/// NaN is passed over.
__device__ float second_magnitude(const float (&v)[kLaneTile]) {
  float first = 0, second = 0;
#pragma unroll
  for (const float value : v) {
    const float magnitude = fmaxf(fabsf(value), 0.0F);
    second = fmaxf(second, fminf(first, magnitude));
    first = fmaxf(first, magnitude);
  }
  return second;
}

/// First element of a magnitude.
__device__ int find_pivot(const float (&v)[kLaneTile], float magnitude) {
  int pivot = 0;  // a tile of NaN has none
#pragma unroll
  for (int i = kLaneTile - 1; i >= 0; --i)
    if (fabsf(v[i]) == magnitude) pivot = i;
  return pivot;
}

/// What the rest needs to know of a tile.
struct TileFacts {
  Range range;  // after the rotation
  float score;
  int pivot;
  bool is_rotated;
};

__device__ TileFacts inspect(const Plan& plan, float (&v)[kLaneTile], Range range) {
  if (range.largest_magnitude() > plan.largest) {
    cut_values(v, plan.largest);
    range = range_of(v);
  }
  const float first = range.largest_magnitude();
  const EntropySums sums = entropy_sums(v, to_unit(first));
  // Sums of magnitudes are finite unless one is not: the receiver must see that.
  const bool is_finite = sums.a < INFINITY;
  TileFacts facts{.range = range, .score = sums.entropy(first), .pivot = 0, .is_rotated = false};
  // Nearly all tiles are seen not to have an outlier from their range alone.
  if (!is_finite || has_outlier(plan, first, range.other_magnitude())) {
    // As on the host, a tile that begins with NaN has no outlier.
    facts.is_rotated = v[0] == v[0] && has_outlier(plan, first, second_magnitude(v));
    if (facts.is_rotated) {
      facts.pivot = find_pivot(v, first);
      swap_with_first(v, facts.pivot);
      hadamard(v, plan.rotation_scale);
      facts.range = range_of(v);
    }
  }
  // Adding 0 turns -0 into 0, as on the host.
  const float fault = is_finite ? 0.0F : NAN;
  facts.range.least += fault, facts.range.most += fault;
  if (plan.is_range) facts.score = facts.range.most - facts.range.least;
  return facts;
}

/// Which lanes have the `count` lowest keys, earlier ones first.
__device__ unsigned lowest_lanes(unsigned key, int count) {
  constexpr unsigned kTaken = ~0U;  // above all keys
  unsigned lowest = 0;
  for (int i = 0; i < count; ++i) {
    const unsigned least = __reduce_min_sync(kAll, key);
    const unsigned holders = __ballot_sync(kAll, key == least), first = holders & (0U - holders);
    lowest |= first;
    if (first >> (threadIdx.x % 32) & 1) key = kTaken;
  }
  return lowest;
}

/// Eight codes in the high 8 * bits bits of a word, for each eighth of a tile.
__device__ void make_codes(const float (&v)[kLaneTile], const Grid& grid, int bits,
                           unsigned (&codes)[8]) {
  const boundary::Reciprocal by(grid.scale > 0 ? grid.scale : 1.0F);
  const boundary::ShortPacker packer(bits);
  // Less -0, a value of -0 becomes 0, whose f16 is the code 0.
  const float zero = grid.zero == 0 ? -0.0F : grid.zero;
  const bool is_plain = by.is_moderate && !grid.is_cut;
  const float levels = static_cast<float>((1 << bits) - 1);
  if (is_plain) {
#pragma unroll
    for (int k = 0; k < 8; ++k) {
      boundary::Octet u;
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        const float above = __fsub_rn(v[8 * k + i], zero);
        u[i] = __fmaf_rn(above, by.inverse, __fmul_rn(above, by.rest));
      }
      codes[k] = packer.pack(u);
    }
  } else {
#pragma unroll
    for (int k = 0; k < 8; ++k) {
      boundary::Octet u;
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        const float quotient = __fdiv_rn(__fsub_rn(v[8 * k + i], zero), by.divisor);
        u[i] = fminf(fmaxf(quotient, 0.0F), levels) * boundary::ShortPacker::kUnit;
      }
      codes[k] = packer.pack(u);
    }
  }
}

/// Most significant bit first. @param to  at a multiple of eight bytes
__device__ void store_codes(const unsigned (&codes)[8], int bits, uint8_t* to) {
  auto* pairs = reinterpret_cast<uint2*>(to);
  if (bits == 4) {
#pragma unroll
    for (int k = 0; k < 4; ++k)
      pairs[k] = make_uint2(__byte_perm(codes[2 * k], 0, 0x0123),
                            __byte_perm(codes[2 * k + 1], 0, 0x0123));
  } else if (bits == 3) {
    unsigned words[6];
#pragma unroll
    for (int k = 0; k < 2; ++k) {
      const unsigned* four = codes + 4 * k;
      words[3 * k] = __byte_perm(four[0], four[1], 0x7123);
      words[3 * k + 1] = __byte_perm(four[1], four[2], 0x6712);
      words[3 * k + 2] = __byte_perm(four[2], four[3], 0x5671);
    }
#pragma unroll
    for (int k = 0; k < 3; ++k) pairs[k] = make_uint2(words[2 * k], words[2 * k + 1]);
  } else if (bits == 2) {
#pragma unroll
    for (int k = 0; k < 2; ++k)
      pairs[k] = make_uint2(__byte_perm(codes[4 * k], codes[4 * k + 1], 0x6723),
                            __byte_perm(codes[4 * k + 2], codes[4 * k + 3], 0x6723));
  } else {
#pragma unroll
    for (int k = 0; k < 8; ++k) to[k] = static_cast<uint8_t>(codes[k] >> 24);
  }
}

/// Of the eight tokens of a group; a token's bits in one word.
struct GroupMaps {
  unsigned low[kTokens + 1], rotated[kTokens + 1];  // the last is 0
  uint8_t pivots[kTokens * 32];                     // a tile after the other
};

/// The warp's token.
template <class T>
__device__ void encode_token(const Plan& plan, int token, const uint4* staged, uint8_t* wire,
                             GroupMaps& maps) {
  const int warp = static_cast<int>(threadIdx.x / 32), lane = static_cast<int>(threadIdx.x % 32);
  const bool is_real = lane < plan.tiles;  // else the lane repeats the last tile
  float v[kLaneTile];
  const Range range = load_tile<T>(staged + min(lane, plan.tiles - 1) * Staged<T>::kStride, v);
  const TileFacts facts = inspect(plan, v, range);
  const unsigned low = lowest_lanes(is_real ? key_of(facts.score) : ~0U, plan.low_per_row);
  const unsigned rotated = __ballot_sync(kAll, facts.is_rotated && is_real);
  if (lane == 0) maps.low[warp] = low, maps.rotated[warp] = rotated;
  if (!is_real) return;
  maps.pivots[warp * plan.tiles + lane] = static_cast<uint8_t>(facts.pivot);
  const bool is_low = low >> lane & 1;
  const int bits = is_low ? plan.low_bits : plan.high_bits;
  const Grid grid(plan, facts.range.least, facts.range.most, bits);
  const int tile = token * plan.tiles + lane;
  reinterpret_cast<uint16_t*>(wire + plan.zeros_at)[tile] = grid.stored_zero.bits;
  reinterpret_cast<uint16_t*>(wire + plan.scales_at)[tile] = grid.stored_scale.bits;
  const int low_tiles = token * plan.low_per_row + low_lanes_before(low);
  const int unit = is_low ? low_tiles : tile - low_tiles;
  unsigned codes[8];
  make_codes(v, grid, bits, codes);
  store_codes(codes, bits, wire + (is_low ? 0 : plan.high_at) + unit * (8 * bits));
}

/// Where there is no token.
__device__ void clear_token(const Plan& plan, GroupMaps& maps) {
  const int warp = static_cast<int>(threadIdx.x / 32), lane = static_cast<int>(threadIdx.x % 32);
  if (lane == 0) maps.low[warp] = maps.rotated[warp] = 0;
  if (lane < plan.tiles) maps.pivots[warp * plan.tiles + lane] = 0;
}

/// Eight bits of the map of a group.
__device__ uint8_t map_byte(const unsigned (&tokens)[kTokens + 1], int tiles, int byte) {
  const int token = divide(8 * byte, tiles), skip = 8 * byte - token * tiles;
  unsigned bits = tokens[token] >> skip;
  if (tiles - skip < 8) bits |= tokens[token + 1] << (tiles - skip);
  return reversed(bits & 0xffU);
}

/// By one warp.
__device__ void write_maps(const Plan& plan, int group, const GroupMaps& maps, uint8_t* wire) {
  const int lane = static_cast<int>(threadIdx.x % 32), bits = plan.pivot_bits;
  const int tiles =
      static_cast<int>(min(int64_t{kTokens}, plan.tokens - group * kTokens)) * plan.tiles;
  if (lane * 8 >= tiles) return;
  const int at = group * plan.tiles + lane;  // in eights of tiles
  wire[plan.precision_at + at] = map_byte(maps.low, plan.tiles, lane);
  wire[plan.rotation_at + at] = map_byte(maps.rotated, plan.tiles, lane);
  const int count = min(8, tiles - 8 * lane), bytes = (count * bits + 7) / 8;
  const uint2 pivots = reinterpret_cast<const uint2*>(maps.pivots)[lane];
  uint64_t stream = 0;
#pragma unroll
  for (int k = 0; k < 8; ++k)
    stream = stream << bits | ((k < 4 ? pivots.x : pivots.y) >> (8 * (k % 4)) & 0xffU);
  uint8_t* to = wire + plan.pivots_at + at * bits;
  for (int byte = 0; byte < bytes; ++byte)
    to[byte] = static_cast<uint8_t>(stream >> (8 * (bits - 1 - byte)));
}

template <class T>
__global__ void __launch_bounds__(kLaneThreads, kBlocksEach)
    lane_encode_kernel(const __grid_constant__ Plan plan, const T* x, uint8_t* wire) {
  constexpr int kSlots = 4;  // groups whose maps may be open at once
  extern __shared__ uint4 memory[];
  __shared__ __align__(8) GroupMaps maps[kSlots];
  const auto warp = static_cast<int>(threadIdx.x / 32);
  const auto tokens = static_cast<int>(plan.tokens);
  const int groups = (tokens + kTokens - 1) / kTokens,
            token_vectors = plan.tiles * Staged<T>::kStride;
  uint4* staged = memory + 2 * warp * token_vectors;
  const auto fetch = [&](int group, int buffer) {
    const int token = group * kTokens + warp;
    if (token < tokens) {
      const auto* from =
          reinterpret_cast<const uint4*>(x + static_cast<unsigned>(token * plan.channels));
      const auto to =
          static_cast<unsigned>(__cvta_generic_to_shared(staged + buffer * token_vectors));
      Staged<T>::for_each(plan.tiles, [&](int vector, int place) {
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to + 16 * place),
                     "l"(from + vector)
                     : "memory");
      });
    }
    asm volatile("cp.async.commit_group;" ::: "memory");
  };
  wait_for_earlier_work();
  if (threadIdx.x < kSlots) maps[threadIdx.x].low[kTokens] = maps[threadIdx.x].rotated[kTokens] = 0;
  fetch(static_cast<int>(blockIdx.x), 0);
  int round = 0;
  for (int group = static_cast<int>(blockIdx.x); group < groups;
       group += static_cast<int>(gridDim.x), ++round) {
    const int slot = round % kSlots, token = group * kTokens + warp;
    if (slot == 0) __syncthreads();  // the maps of the slots are written
    fetch(group + static_cast<int>(gridDim.x), (round + 1) % 2);
    asm volatile("cp.async.wait_group 1;" ::: "memory");
    __syncwarp();
    if (token < tokens)
      encode_token<T>(plan, token, staged + round % 2 * token_vectors, wire, maps[slot]);
    else
      clear_token(plan, maps[slot]);
    __syncwarp();
    // One warp, each time another one, waits for the others and writes the maps.
    if (warp == round % kTokens) {
      asm volatile("barrier.sync %0, %1;" ::"r"(1 + slot), "n"(kLaneThreads) : "memory");
      write_maps(plan, group, maps[slot], wire);
    } else {
      asm volatile("barrier.arrive %0, %1;" ::"r"(1 + slot), "n"(kLaneThreads) : "memory");
    }
  }
}

}  // namespace

void launch_lane_encode(const Plan& plan, const void* x, boundary::Number type, uint8_t* wire,
                        void* stream) {
  with_number(type, [&](auto number) {
    using T = decltype(number);
    const int shared = 2 * kTokens * plan.tiles * Staged<T>::kStride * 16;
    auto* kernel = lane_encode_kernel<T>;
    allow_shared(kernel, shared);
    launch_early("tah lane_encode_kernel",
                 {dim3(lane_blocks(plan, kernel, shared)), dim3(kLaneThreads),
                  static_cast<size_t>(shared), static_cast<cudaStream_t>(stream)},
                 kernel, plan, static_cast<const T*>(x), wire);
  });
}

}  // namespace qtk::tah
