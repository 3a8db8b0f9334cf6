// A block encodes eight tokens: tiles in registers, read once with 16-byte loads; their part of the
// message is put together in shared memory and written with 16-byte stores.
#include "entropy_sums.cuh"
#include "lane_kernels.hpp"
#include "tile_registers.cuh"
#include "token_ranks.cuh"

namespace qtk::tah {
namespace {

using boundary::Divider;
using boundary::matched;
using boundary::Packer;

/// What the threads of a tile find before the ranking.
struct TileFacts {
  float least, most;  // after the rotation
  float score;
  int pivot;
  bool is_rotated;
};

template <int tile>
__device__ void cut_values(Runs<tile>& v, float largest) {
#pragma unroll
  for (auto& run : v)
#pragma unroll
    for (float& value : run)
      if (fabsf(value) > largest && fabsf(value) < INFINITY) value = copysignf(largest, value);
}

/// In place. @returns the pivot
template <int tile>
__device__ int rotate_outlier(const Plan& plan, Runs<tile>& v, int lane, unsigned mask,
                              Extremes& e) {
  const int pivot = find_pivot<tile>(v, lane, e.first, mask);
  swap_with_first<tile>(v, lane, pivot, mask);
  hadamard<tile>(v, lane, plan.rotation_scale, mask);
  e.least = e.most = v[0][0];
#pragma unroll
  for (const auto& run : v)
#pragma unroll
    for (const float value : run) e.least = fminf(e.least, value), e.most = fmaxf(e.most, value);
  join_lanes<Lanes<tile>::kCount>([&](int offset) {
    e.least = fminf(e.least, __shfl_xor_sync(mask, e.least, offset));
    e.most = fmaxf(e.most, __shfl_xor_sync(mask, e.most, offset));
  });
  return pivot;
}

/// @param e  of the thread's own values
template <int tile>
__device__ TileFacts inspect(const Plan& plan, Runs<tile>& v, int lane, Extremes e) {
  constexpr int kLanes = Lanes<tile>::kCount;
  join_extremes<kLanes>(e);
  if (__any_sync(kAll, e.first > plan.largest)) {
    cut_values<tile>(v, plan.largest);
    e = own_extremes<tile>(v);
    join_extremes<kLanes>(e);
  }
  EntropySums sums;
  const float unit = to_unit(e.first);
#pragma unroll
  for (const auto& run : v)
#pragma unroll
    for (const float value : run) sums.add(value, unit);
  sums.a = lanes_sum<kLanes>(sums.a), sums.w = lanes_sum<kLanes>(sums.w);

  TileFacts facts{};
  facts.score = sums.entropy(e.first);
  facts.is_rotated = has_outlier(plan, e.first, e.second);
  const unsigned mask = __ballot_sync(kAll, facts.is_rotated);
  if (facts.is_rotated) facts.pivot = rotate_outlier<tile>(plan, v, lane, mask, e);
  // Sums of magnitudes are finite unless one is not: the receiver must see that. Adding 0 turns -0
  // into 0, as on the host.
  const float fault = sums.a < INFINITY ? 0.0F : NAN;
  facts.least = e.least + fault, facts.most = e.most + fault;
  if (plan.is_range) facts.score = facts.most - facts.least;
  return facts;
}

/// How many tiles of the token come before this one in the order of scores, earlier ones first.
__device__ int rank_of(const unsigned* keys, int tile, int stride) {
  const unsigned mine = keys[tile];
  const int own = tile & ~3;  // the four that this tile is one of
  int rank[4] = {};
#pragma unroll 4
  for (int other = 0; other < stride; other += 4) {
    const uint4 four = *reinterpret_cast<const uint4*>(keys + other);
    const unsigned bound = other < own ? mine + 1 : mine;
    rank[0] += four.x < bound ? 1 : 0;
    rank[1] += four.y < bound ? 1 : 0;
    rank[2] += four.z < bound ? 1 : 0;
    rank[3] += four.w < bound ? 1 : 0;
  }
#pragma unroll
  for (int i = 0; i < 3; ++i) rank[i] += own + i < tile && keys[own + i] == mine ? 1 : 0;
  return rank[0] + rank[1] + rank[2] + rank[3];
}

/// What the codes of a tile need; one vector of shared memory. Before the ranking, its range.
struct __align__(16) Cell {
  float zero, divisor, inverse;
  unsigned flags;
};
constexpr unsigned kIsLow = 1, kIsExtreme = 2;

/// Writes the first `count` of four bytes, most significant first.
__device__ void put_word(uint8_t* to, unsigned word, int count) {
  if (count == 4 && (reinterpret_cast<uintptr_t>(to) & 3) == 0) {
    *reinterpret_cast<unsigned*>(to) = __byte_perm(word, 0, 0x0123);
    return;
  }
  to[0] = static_cast<uint8_t>(word >> 24);
  if (count > 1) to[1] = static_cast<uint8_t>(word >> 16);
  if (count > 2) to[2] = static_cast<uint8_t>(word >> 8);
  if (count > 3) to[3] = static_cast<uint8_t>(word);
}

template <int tile>
__device__ void write_codes(const Runs<tile>& v, int lane, const Cell& cell, int bits,
                            uint8_t* codes) {
  const Packer packer(bits);
  Divider divider;
  divider.divisor = cell.divisor, divider.inverse = cell.inverse;
#pragma unroll
  for (int run = 0; run < Lanes<tile>::kRuns; ++run) {
    boundary::Octet u;
#pragma unroll
    for (int i = 0; i < 8; ++i) u[i] = __fsub_rn(v[run][i], cell.zero);
    if (cell.flags & kIsExtreme) {
      const float levels = static_cast<float>((1 << bits) - 1);
#pragma unroll
      for (float& value : u) value = fminf(fmaxf(divider.any(value), 0.0F), levels);
    } else {
      // 0 <= y - z <= s L up to the last place, so that rounding keeps to the codes.
#pragma unroll
      for (float& value : u) value = divider.moderate(value);
    }
    uint8_t* to = codes + run_begin<tile>(run, lane) / 8 * bits;
    if (bits > 4) {
      boundary::put_bytes(to, packer.pack(u), bits);
    } else {
      put_word(to, packer.word(u) << (32 - 8 * bits), bits);
    }
  }
}

/// Where this block's part of the message lies.
struct Target {
  int64_t first;      // token
  int tokens, tiles;  // of the block
  uint8_t *zeros, *scales, *low, *high;

  __device__ Target(const Plan& plan, uint8_t* wire)
      : first(static_cast<int64_t>(blockIdx.x) * kTokens),
        tokens(static_cast<int>(min(static_cast<int64_t>(kTokens), plan.tokens - first))),
        tiles(tokens * plan.tiles) {
    const int64_t block = blockIdx.x;
    zeros = wire + plan.zeros_at + block * (2 * kTokens * plan.tiles);
    scales = wire + plan.scales_at + block * (2 * kTokens * plan.tiles);
    low = wire + block * (plan.low_per_row * plan.tile * plan.low_bits);  // times kTokens / 8
    high = wire + plan.high_at +
           block * ((plan.tiles - plan.low_per_row) * plan.tile * plan.high_bits);
  }
};

/// Where it is put together, in shared memory.
struct Draft {
  unsigned *keys, *precision, *rotation;
  Cell* cells;
  uint8_t *pivots, *zeros, *scales, *low, *high;

  __device__ Draft(const SharedParts& parts, const Target& target, uint8_t* shared) {
    keys = reinterpret_cast<unsigned*>(shared + parts.keys);
    cells = reinterpret_cast<Cell*>(shared + parts.cells);
    precision = reinterpret_cast<unsigned*>(shared + parts.precision);
    rotation = reinterpret_cast<unsigned*>(shared + parts.rotation);
    pivots = shared + parts.pivots;
    zeros = matched(shared + parts.zeros, target.zeros);
    scales = matched(shared + parts.scales, target.scales);
    low = matched(shared + parts.low, target.low);
    high = matched(shared + parts.high, target.high);
  }

  __device__ void clear(const Plan& plan, int pass_tokens) const {
    const auto thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
    const int words = (kTokens * plan.tiles + 31) / 32 + 1, stride = key_stride(plan);
    for (int i = thread; i < words; i += threads) precision[i] = 0, rotation[i] = 0;
    for (int i = thread; i < 2 * plan.tiles + 2; i += threads)
      reinterpret_cast<unsigned*>(pivots)[i] = 0;
    for (int i = thread; i < pass_tokens * stride; i += threads) keys[i] = ~0U;
  }
};

/// Zero points, scales and maps; `role` of `roles` warps.
__device__ void write_tables(const Plan& plan, const Draft& draft, uint8_t* wire, int role,
                             int roles) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const Target target(plan, wire);
  const int64_t group = static_cast<int64_t>(blockIdx.x) * plan.tiles;  // of eight tiles
  if (role == 0) boundary::copy_bytes(target.zeros, draft.zeros, 2 * target.tiles, lane, 32);
  if (role == 1 % roles)
    boundary::copy_bytes(target.scales, draft.scales, 2 * target.tiles, lane, 32);
  if (role == 2 % roles)
    for (int i = lane; i * 8 < target.tiles; i += 32) {
      wire[plan.rotation_at + group + i] =
          reversed(reinterpret_cast<const uint8_t*>(draft.rotation)[i]);
      if (plan.row_tokens == 0)
        wire[plan.precision_at + group + i] =
            reversed(reinterpret_cast<const uint8_t*>(draft.precision)[i]);
    }
  if (role == 3 % roles) {
    const int bits = plan.pivot_bits;
    for (int i = lane; i * 8 < target.tiles; i += 32) {
      uint64_t stream = 0;
      for (int k = 0; k < 8; ++k) stream = stream << bits | draft.pivots[8 * i + k];
      const int count = (min(8, target.tiles - 8 * i) * bits + 7) / 8;
      for (int byte = 0; byte < count; ++byte)
        wire[plan.pivots_at + (group + i) * bits + byte] =
            static_cast<uint8_t>(stream >> (8 * (bits - 1 - byte)));
    }
  }
}

/// The codes of a token, where tokens have a precision; all warps of the block take part.
__device__ void find_tokens(const Plan& plan, const Target& target, const uint8_t* map,
                            TokenPlace* places) {
  for (int token = static_cast<int>(threadIdx.x) / 32; token < target.tokens;
       token += static_cast<int>(blockDim.x) / 32) {
    const TokenPlace found = find_token(plan, map, target.first + token);
    if (threadIdx.x % 32 == 0) places[token] = found;
  }
}

__device__ int64_t token_offset(const Plan& plan, const TokenPlace& place) {
  return place.is_low ? code_bytes(place.place * plan.channels, plan.low_bits)
                      : plan.high_at + code_bytes(place.place * plan.channels, plan.high_bits);
}

/// A thread for each tile of the pass: rank, zero point, scale.
__device__ void settle_tiles(const Plan& plan, const Draft& draft, const TokenPlace* places,
                             int pass, int pass_tiles) {
  const auto thread = static_cast<int>(threadIdx.x);
  if (thread >= pass_tiles) return;
  const Place place(plan, thread, 1);
  const int stride = key_stride(plan), bit = pass * plan.tiles + thread;
  const bool is_low = plan.row_tokens > 0 ? places[pass + place.token].is_low
                                          : rank_of(draft.keys + place.token * stride, place.tile,
                                                    stride) < plan.low_per_row;
  if (is_low && plan.row_tokens == 0) atomicOr(draft.precision + bit / 32, 1U << (bit & 31));
  Cell& cell = draft.cells[thread];
  const int bits = is_low ? plan.low_bits : plan.high_bits;
  const Grid grid(plan, cell.zero, cell.divisor, bits);
  const Divider divider(grid.scale > 0 ? grid.scale : 1.0F);
  const bool is_extreme = divider.is_extreme || grid.is_cut;
  cell = {grid.zero, divider.divisor, divider.inverse,
          (is_low ? kIsLow : 0U) | (is_extreme ? kIsExtreme : 0U)};
  draft.zeros[2 * bit] = static_cast<uint8_t>(grid.stored_zero.bits);
  draft.zeros[2 * bit + 1] = static_cast<uint8_t>(grid.stored_zero.bits >> 8);
  draft.scales[2 * bit] = static_cast<uint8_t>(grid.stored_scale.bits);
  draft.scales[2 * bit + 1] = static_cast<uint8_t>(grid.stored_scale.bits >> 8);
}

/// Codes from shared memory to the message.
template <int tile>
__device__ void write_code_parts(const Plan& plan, const Draft& draft, const SharedParts& parts,
                                 const TokenPlace* places, uint8_t* shared, uint8_t* wire,
                                 int threads) {
  const auto thread = static_cast<int>(threadIdx.x);
  const Target target(plan, wire);
  if (plan.row_tokens == 0) {
    const int low_tiles = target.tokens * plan.low_per_row;
    boundary::copy_bytes(target.low, draft.low, low_tiles * (tile / 8) * plan.low_bits, thread,
                         threads);
    boundary::copy_bytes(target.high, draft.high,
                         (target.tiles - low_tiles) * (tile / 8) * plan.high_bits, thread, threads);
    return;
  }
  for (int token = thread / 32; token < target.tokens; token += threads / 32) {
    uint8_t* to = wire + token_offset(plan, places[token]);
    const int bits = places[token].is_low ? plan.low_bits : plan.high_bits;
    boundary::copy_bytes(to,
                         matched(shared + parts.low + token * SharedParts::token_codes(plan), to),
                         plan.channels / 8 * bits, thread % 32, 32);
  }
}

template <class T, int tile, bool is_dense>
__global__ void __launch_bounds__(is_dense ? Shape::kDenseThreads : kMostThreads, is_dense ? 3 : 1)
    encode_kernel(const __grid_constant__ Plan plan, const __grid_constant__ SharedParts parts,
                  int pass_tokens, const T* x, uint8_t* wire) {
  constexpr int kLanes = Lanes<tile>::kCount, kRuns = Lanes<tile>::kRuns;
  extern __shared__ uint4 memory[];
  __shared__ TokenPlace places[kTokens];
  auto* shared = reinterpret_cast<uint8_t*>(memory);
  const Target target(plan, wire);
  const Draft draft(parts, target, shared);
  const bool ranks_tiles = plan.row_tokens == 0;
  const Place place(plan, static_cast<int>(threadIdx.x), kLanes);

  for (int pass = 0; pass < target.tokens; pass += pass_tokens) {
    const int pass_tiles = min(pass_tokens, target.tokens - pass) * plan.tiles;
    const bool is_real = place.slot < pass_tiles;  // else the thread only takes part in shuffles
    const int bit = pass * plan.tiles + place.slot;
    boundary::Raw<T> raw[kRuns];
    const T* from = x + target.first * plan.channels + bit * tile + place.lane * 8;
#pragma unroll
    for (int run = 0; run < kRuns; ++run)
      is_real ? raw[run].load(from + run_begin<tile>(run, 0)) : raw[run].clear();
    if (pass == 0) {  // while the values are on their way
      draft.clear(plan, pass_tokens);
      if (!ranks_tiles) find_tokens(plan, target, wire + plan.precision_at, places);
      __syncthreads();
    }
    Runs<tile> v;
#pragma unroll
    for (int run = 0; run < kRuns; ++run) raw[run].get(v[run]);
    Extremes extremes;
    if constexpr (sizeof(T) == 2)
      extremes = own_extremes(raw);
    else
      extremes = own_extremes<tile>(v);
    const TileFacts facts = inspect<tile>(plan, v, place.lane, extremes);
    if (is_real && place.lane == 0) {
      draft.keys[place.token * key_stride(plan) + place.tile] = key_of(facts.score);
      draft.cells[place.slot].zero = facts.least, draft.cells[place.slot].divisor = facts.most;
      if (facts.is_rotated) {
        atomicOr(draft.rotation + bit / 32, 1U << (bit & 31));
        draft.pivots[bit] = static_cast<uint8_t>(facts.pivot);
      }
    }
    __syncthreads();
    settle_tiles(plan, draft, places, pass, pass_tiles);
    __syncthreads();
    if (is_real) {
      const Cell cell = draft.cells[place.slot];
      const bool is_low = cell.flags & kIsLow;
      const int bits = is_low ? plan.low_bits : plan.high_bits;
      uint8_t* codes;
      if (ranks_tiles) {
        const int token = pass + place.token,
                  before = low_before(plan, draft.precision, token * plan.tiles, bit);
        const int unit =
            is_low ? token * plan.low_per_row + before : bit - token * plan.low_per_row - before;
        codes = (is_low ? draft.low : draft.high) + unit * (tile / 8) * bits;
      } else {
        const int token = pass + place.token;
        uint8_t* part = shared + parts.low + token * SharedParts::token_codes(plan);
        codes = matched(part, wire + token_offset(plan, places[token])) +
                place.tile * (tile / 8) * bits;
      }
      write_codes<tile>(v, place.lane, cell, bits, codes);
    }
    __syncwarp();  // a tile's threads have read its cell before one of them writes the next pass's
  }
  __syncthreads();
  // The last warps write the tables while the others write the codes; few warps do both in turn.
  const auto warp = static_cast<int>(threadIdx.x) / 32, warps = static_cast<int>(blockDim.x) / 32;
  const int code_warps = warps >= 8 ? warps - 4 : warps;
  if (warp < code_warps)
    write_code_parts<tile>(plan, draft, parts, places, shared, wire, code_warps * 32);
  if (warps >= 8) {
    if (warp >= code_warps) write_tables(plan, draft, wire, warp - code_warps, 4);
  } else if (warp == 0) {
    write_tables(plan, draft, wire, 0, 1);
  }
}

}  // namespace

int most_channels(int tile) { return kMostThreads * (tile < 16 ? 8 : 16); }

void launch_encode(const Plan& plan, const void* x, boundary::Number type, float* scores,
                   uint8_t* wire, void* stream) {
  if (takes_lanes(plan) && !rotates_all(plan))
    return launch_lane_encode(plan, x, type, wire, stream);
  with_subject(type, plan.tile, [&](auto subject) {
    using T = typename decltype(subject)::Type;
    constexpr int kTile = decltype(subject)::kTile;
    const auto* values = static_cast<const T*>(x);
    const auto on = static_cast<cudaStream_t>(stream);
    if (plan.row_tokens > 0)
      launch_token_ranks(plan, values, reinterpret_cast<unsigned*>(scores),
                         wire + plan.precision_at, on);
    const Shape shape(plan, plan.tiles * Lanes<kTile>::kCount);
    const SharedParts parts(plan, shape.pass_tokens);
    auto* kernel = encode_kernel<T, kTile, false>;
    if constexpr (kTile >= kSmallestDenseTile)
      if (shape.is_dense) kernel = encode_kernel<T, kTile, true>;
    allow_shared(kernel, parts.bytes);
    cuda::launch("tah encode_kernel",
                 {dim3(shape.blocks), dim3(shape.threads), static_cast<size_t>(parts.bytes), on},
                 kernel, plan, parts, shape.pass_tokens, values, wire);
  });
}

}  // namespace qtk::tah
