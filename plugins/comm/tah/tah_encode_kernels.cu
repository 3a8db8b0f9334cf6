// A block encodes eight tokens: tiles in registers, read once with 16-byte loads; their part of the
// message is put together in shared memory and written with 16-byte stores.
#include "tile_registers.cuh"

namespace qtk::tah {
namespace {

using boundary::Divider;
using boundary::matched;
using boundary::Packer;

constexpr float kTiny = 1e-30F;  // beside 1, nothing; its logarithm is finite

/// What a thread knows of its tile before the ranking.
struct TileFacts {
  float least, most;  // after the rotation
  float score;
  int pivot;
  bool is_rotated;
};

__device__ float log2_of(float value) {
  float result;
  asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(value));
  return result;
}

/// The power of two that brings a magnitude to [1, 2), as far as there is one.
__device__ float to_unit(float magnitude) {
  const unsigned exponent = min(__float_as_uint(magnitude) >> 23, 253U);
  return __uint_as_float((254U - exponent) << 23);
}

/// Sums over |x| and |x| log2 |x|, for the entropy log2 A - W / A, in bits.
struct EntropySums {
  float a = 0, w = 0;

  __device__ void add(float value, float scale) {
    const float p = __fmaf_rn(fabsf(value), scale, kTiny);
    a += p;
    w = __fmaf_rn(p, log2_of(p), w);
  }
  /// As entropy() of allocation.cpp: 0 for zeros and NaN, NaN for infinity.
  __device__ float entropy(float largest) const {
    return largest == 0 || a != a ? 0.0F : log2_of(a) - __fdividef(w, a);
  }
};

/// Unsigned numbers in the order of the scores, NaN last.
__device__ unsigned key_of(float score) {
  if (score != score) return 0xfffffffeU;  // one below the largest: rank_of() adds 1
  const unsigned bits = __float_as_uint(score + 0.0F);
  return bits >> 31 ? ~bits : bits | 0x80000000U;
}

template <int tile>
__device__ void cut_values(Runs<tile>& v, float largest) {
#pragma unroll
  for (auto& run : v)
#pragma unroll
    for (float& value : run)
      if (fabsf(value) > largest && fabsf(value) < INFINITY) value = copysignf(largest, value);
}

template <int tile>
__device__ TileFacts inspect(const Plan& plan, Runs<tile>& v, int lane) {
  constexpr int kLanes = Lanes<tile>::kCount;
  Peaks peaks = find_peaks<tile>(v);
  if (__any_sync(kAll, peaks.largest > plan.largest)) {
    cut_values<tile>(v, plan.largest);
    peaks = find_peaks<tile>(v);
  }
  EntropySums sums;
  const float unit = to_unit(peaks.largest);
#pragma unroll
  for (const auto& run : v)
#pragma unroll
    for (const float value : run) sums.add(value, unit);
  sums.a = lanes_sum<kLanes>(sums.a), sums.w = lanes_sum<kLanes>(sums.w);

  TileFacts facts{};
  facts.is_rotated = plan.threshold >= 0 && static_cast<double>(peaks.largest) >=
                                                plan.threshold * static_cast<double>(peaks.second);
  if (__any_sync(kAll, facts.is_rotated)) {
    const int pivot = find_pivot<tile>(v, lane, peaks.largest);
    facts.pivot = facts.is_rotated ? pivot : 0;
    Runs<tile> turned;
#pragma unroll
    for (int run = 0; run < Lanes<tile>::kRuns; ++run)
#pragma unroll
      for (int i = 0; i < 8; ++i) turned[run][i] = v[run][i];
    swap_with_first<tile>(turned, lane, pivot);
    hadamard<tile>(turned, lane, plan.rotation_scale);
#pragma unroll
    for (int run = 0; run < Lanes<tile>::kRuns; ++run)
#pragma unroll
      for (int i = 0; i < 8; ++i) v[run][i] = facts.is_rotated ? turned[run][i] : v[run][i];
  }
  float least = v[0][0], most = v[0][0];
#pragma unroll
  for (const auto& run : v)
#pragma unroll
    for (const float value : run) least = fminf(least, value), most = fmaxf(most, value);
  // Sums of magnitudes are finite unless one is not: the receiver must see that. Adding 0 turns -0
  // into 0, as on the host.
  const float fault = sums.a < INFINITY ? 0.0F : NAN;
  facts.least = lanes_min<kLanes>(least) + fault;
  facts.most = lanes_max<kLanes>(most) + fault;
  facts.score = plan.is_range ? facts.most - facts.least : sums.entropy(peaks.largest);
  return facts;
}

/// How many tiles of the token come before this one in the order of scores, earlier ones first.
template <int lanes>
__device__ int rank_of(const unsigned* keys, const Place& place, int tiles) {
  int rank = 0;
  if (place.is_real) {
    const unsigned mine = keys[place.tile];
#pragma unroll 4
    for (int other = place.lane; other < tiles; other += lanes)
      rank += keys[other] < mine + (other < place.tile ? 1U : 0U) ? 1 : 0;
  }
  join_lanes<lanes>([&](int offset) { rank += __shfl_xor_sync(kAll, rank, offset); });
  return rank;
}

template <int tile>
__device__ void write_codes(const Runs<tile>& v, int lane, const Grid& grid, int bits,
                            uint8_t* codes) {
  const float levels = static_cast<float>((1 << bits) - 1);
  const Packer packer(bits);
  const Divider divider(grid.scale > 0 ? grid.scale : 1.0F);
#pragma unroll
  for (int run = 0; run < Lanes<tile>::kRuns; ++run) {
    boundary::Octet u;
#pragma unroll
    for (int i = 0; i < 8; ++i) u[i] = __fsub_rn(v[run][i], grid.zero);
    if (divider.is_extreme) {
#pragma unroll
      for (float& value : u) value = divider.any(value);
    } else {
#pragma unroll
      for (float& value : u) value = divider.moderate(value);
    }
#pragma unroll
    for (float& value : u) value = fminf(fmaxf(value, 0.0F), levels);
    boundary::put_bytes(codes + run_begin<tile>(run, lane) / 8 * bits, packer.pack(u), bits);
  }
}

/// Where this block's part of the message lies, and where it is put together.
struct Draft {
  unsigned *keys, *precision, *rotation;
  uint8_t *pivots, *zeros, *scales, *low, *high;     // shared
  uint8_t *to_zeros, *to_scales, *to_low, *to_high;  // message
  int64_t first;                                     // token
  int tokens, tiles;                                 // of the block

  __device__ Draft(const Plan& plan, const SharedParts& parts, uint8_t* shared, uint8_t* wire)
      : first(static_cast<int64_t>(blockIdx.x) * kTokens),
        tokens(static_cast<int>(min(static_cast<int64_t>(kTokens), plan.tokens - first))),
        tiles(tokens * plan.tiles) {
    keys = reinterpret_cast<unsigned*>(shared + parts.keys);
    precision = reinterpret_cast<unsigned*>(shared + parts.precision);
    rotation = reinterpret_cast<unsigned*>(shared + parts.rotation);
    pivots = shared + parts.pivots;
    to_zeros = wire + plan.zeros_at + 2 * first * plan.tiles;
    to_scales = wire + plan.scales_at + 2 * first * plan.tiles;
    zeros = matched(shared + parts.zeros, to_zeros);
    scales = matched(shared + parts.scales, to_scales);
    const int64_t low_tiles = first * plan.low_per_row, high_tiles = first * plan.tiles - low_tiles;
    to_low = wire + code_bytes(low_tiles * plan.tile, plan.low_bits);
    to_high = wire + plan.high_at + code_bytes(high_tiles * plan.tile, plan.high_bits);
    low = matched(shared + parts.low, to_low);
    high = matched(shared + parts.high, to_high);
  }

  __device__ void clear_maps(const Plan& plan) const {
    const int words = (kTokens * plan.tiles + 31) / 32 + 1;
    for (int i = static_cast<int>(threadIdx.x); i < words; i += static_cast<int>(blockDim.x))
      precision[i] = 0, rotation[i] = 0;
    for (int i = static_cast<int>(threadIdx.x); i < kTokens * plan.tiles + 8;
         i += static_cast<int>(blockDim.x))
      pivots[i] = 0;
  }

  __device__ void write_tables(const Plan& plan, uint8_t* wire) const {
    const auto thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
    boundary::copy_bytes(to_zeros, zeros, 2 * tiles, thread, threads);
    boundary::copy_bytes(to_scales, scales, 2 * tiles, thread, threads);
    const int64_t group = first / kTokens * plan.tiles;  // of eight tiles
    const int bits = plan.pivot_bits;
    for (int i = thread; i * 8 < tiles; i += threads) {
      wire[plan.rotation_at + group + i] = reversed(reinterpret_cast<const uint8_t*>(rotation)[i]);
      if (plan.row_tokens == 0)
        wire[plan.precision_at + group + i] =
            reversed(reinterpret_cast<const uint8_t*>(precision)[i]);
      uint64_t stream = 0;
      for (int k = 0; k < 8; ++k) stream = stream << bits | pivots[8 * i + k];
      const int count = (min(8, tiles - 8 * i) * bits + 7) / 8;
      for (int byte = 0; byte < count; ++byte)
        wire[plan.pivots_at + (group + i) * bits + byte] =
            static_cast<uint8_t>(stream >> (8 * (bits - 1 - byte)));
    }
  }
};

/// The codes of a token, where tokens have a precision; all warps of the block take part.
__device__ void find_tokens(const Plan& plan, const Draft& draft, const uint8_t* map,
                            TokenPlace* places) {
  for (int token = static_cast<int>(threadIdx.x) / 32; token < draft.tokens;
       token += static_cast<int>(blockDim.x) / 32) {
    const TokenPlace found = find_token(plan, map, draft.first + token);
    if (threadIdx.x % 32 == 0) places[token] = found;
  }
}

__device__ int64_t token_offset(const Plan& plan, const TokenPlace& place) {
  return place.is_low ? code_bytes(place.place * plan.channels, plan.low_bits)
                      : plan.high_at + code_bytes(place.place * plan.channels, plan.high_bits);
}

template <class T, int tile>
__global__ void __launch_bounds__(kMostThreads)
    encode_kernel(const __grid_constant__ Plan plan, int pass_tokens, const T* x, uint8_t* wire) {
  constexpr int kLanes = Lanes<tile>::kCount, kRuns = Lanes<tile>::kRuns;
  extern __shared__ uint4 memory[];
  __shared__ TokenPlace places[kTokens];
  auto* shared = reinterpret_cast<uint8_t*>(memory);
  const SharedParts parts(plan, pass_tokens);
  const Draft draft(plan, parts, shared, wire);
  const bool ranks_tiles = plan.row_tokens == 0;
  draft.clear_maps(plan);
  if (!ranks_tiles) find_tokens(plan, draft, wire + plan.precision_at, places);

  for (int pass = 0; pass < draft.tokens; pass += pass_tokens) {
    const Place place = place_of<kLanes>(plan, pass_tokens, pass, draft.tokens);
    boundary::Raw<T> raw[kRuns];
    const T* from = x + (draft.first + place.token) * plan.channels + place.tile * tile;
#pragma unroll
    for (int run = 0; run < kRuns; ++run)
      place.is_real ? raw[run].load(from + run_begin<tile>(run, place.lane)) : raw[run].clear();
    Runs<tile> v;
#pragma unroll
    for (int run = 0; run < kRuns; ++run) raw[run].get(v[run]);
    const TileFacts facts = inspect<tile>(plan, v, place.lane);
    unsigned* keys = draft.keys + place.pass_token * plan.tiles;
    const int bit = place.token * plan.tiles + place.tile;
    if (place.is_real && place.lane == 0) keys[place.tile] = key_of(facts.score);
    __syncthreads();
    bool is_low = false;
    if (ranks_tiles) {
      is_low = rank_of<kLanes>(keys, place, plan.tiles) < plan.low_per_row;
    } else if (place.is_real) {
      is_low = places[place.token].is_low;
    }
    if (place.is_real && place.lane == 0) {
      if (ranks_tiles && is_low) atomicOr(draft.precision + bit / 32, 1U << (bit & 31));
      if (facts.is_rotated) atomicOr(draft.rotation + bit / 32, 1U << (bit & 31));
      draft.pivots[bit] = static_cast<uint8_t>(facts.pivot);
    }
    __syncthreads();
    if (place.is_real) {
      const int bits = is_low ? plan.low_bits : plan.high_bits;
      const Grid grid(plan, facts.least, facts.most, static_cast<float>((1 << bits) - 1));
      uint8_t* codes;
      if (ranks_tiles) {
        const int low_before = count_bits(draft.precision, place.token * plan.tiles, bit);
        const int unit = is_low ? place.token * plan.low_per_row + low_before
                                : bit - place.token * plan.low_per_row - low_before;
        codes = (is_low ? draft.low : draft.high) + unit * (tile / 8) * bits;
      } else {
        uint8_t* part = shared + parts.low + place.token * SharedParts::token_codes(plan);
        codes = matched(part, wire + token_offset(plan, places[place.token])) +
                place.tile * (tile / 8) * bits;
      }
      write_codes<tile>(v, place.lane, grid, bits, codes);
      if (place.lane == 0) {
        draft.zeros[2 * bit] = static_cast<uint8_t>(grid.stored_zero.bits);
        draft.zeros[2 * bit + 1] = static_cast<uint8_t>(grid.stored_zero.bits >> 8);
        draft.scales[2 * bit] = static_cast<uint8_t>(grid.stored_scale.bits);
        draft.scales[2 * bit + 1] = static_cast<uint8_t>(grid.stored_scale.bits >> 8);
      }
    }
  }
  __syncthreads();
  const auto thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
  if (ranks_tiles) {
    const int low_tiles = draft.tokens * plan.low_per_row;
    boundary::copy_bytes(draft.to_low, draft.low, low_tiles * (tile / 8) * plan.low_bits, thread,
                         threads);
    boundary::copy_bytes(draft.to_high, draft.high,
                         (draft.tiles - low_tiles) * (tile / 8) * plan.high_bits, thread, threads);
  } else {
    for (int token = thread / 32; token < draft.tokens; token += threads / 32) {
      uint8_t* to = wire + token_offset(plan, places[token]);
      const int bits = places[token].is_low ? plan.low_bits : plan.high_bits;
      boundary::copy_bytes(to,
                           matched(shared + parts.low + token * SharedParts::token_codes(plan), to),
                           plan.channels / 8 * bits, thread % 32, 32);
    }
  }
  draft.write_tables(plan, wire);
}

// ---- allocation by tokens --------------------------------------------------------------------

/// One warp for each token; the second reading comes from the first-level cache.
template <class T>
__global__ void token_score_kernel(const __grid_constant__ Plan plan, const T* x,
                                   unsigned* scores) {
  const int64_t token = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  if (token >= plan.tokens) return;
  const T* row = x + token * plan.channels;
  float largest = 0;
  const auto for_each = [&](const auto& visit) {
#pragma unroll 2
    for (int begin = 8 * lane; begin < plan.channels; begin += 256) {
      boundary::Raw<T> raw;
      boundary::Octet v;
      raw.load(row + begin);
      raw.get(v);
#pragma unroll
      for (const float value : v) {
        const float magnitude = fabsf(value);
        visit(magnitude > plan.largest && magnitude < INFINITY ? plan.largest : magnitude);
      }
    }
  };
  for_each([&](float magnitude) { largest = fmaxf(largest, magnitude); });
  largest = lanes_max<32>(largest);
  EntropySums sums;
  const float unit = to_unit(largest);
  for_each([&](float magnitude) { sums.add(magnitude, unit); });
  sums.a = lanes_sum<32>(sums.a), sums.w = lanes_sum<32>(sums.w);
  if (lane == 0) scores[token] = key_of(sums.entropy(largest));
}

/// One warp for each token counts the tokens before it; a block writes one byte of the map.
__global__ void token_rank_kernel(const __grid_constant__ Plan plan, const unsigned* scores,
                                  uint8_t* map) {
  __shared__ unsigned is_low[kTokens];
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int64_t token = static_cast<int64_t>(blockIdx.x) * kTokens + warp;
  int rank = plan.row_tokens;
  if (token < plan.tokens) {
    const int64_t begin = token / plan.row_tokens * plan.row_tokens;
    const auto self = static_cast<int>(token - begin);
    const unsigned mine = scores[token];
    rank = 0;
#pragma unroll 8
    for (int other = lane; other < plan.row_tokens; other += 32)
      rank += scores[begin + other] < mine + (other < self ? 1U : 0U) ? 1 : 0;
    for (int offset = 16; offset > 0; offset /= 2) rank += __shfl_xor_sync(kAll, rank, offset);
  }
  if (lane == 0) is_low[warp] = rank < plan.low_per_row ? 1U : 0U;
  __syncthreads();
  if (threadIdx.x != 0) return;
  unsigned byte = 0;
  for (const unsigned flag : is_low) byte = byte << 1 | flag;
  map[blockIdx.x] = static_cast<uint8_t>(byte);
}

template <class T>
void launch_token_ranks(const Plan& plan, const T* x, unsigned* scores, uint8_t* map,
                        cudaStream_t stream) {
  constexpr int64_t kThreads = 256;
  const auto blocks = static_cast<unsigned>((plan.tokens + kTokens - 1) / kTokens);
  cuda::launch("tah token_score_kernel", {dim3(blocks), dim3(kThreads), 0, stream},
               token_score_kernel<T>, plan, x, scores);
  cuda::launch("tah token_rank_kernel", {dim3(blocks), dim3(kThreads), 0, stream},
               token_rank_kernel, plan, scores, map);
}

}  // namespace

int most_channels(int tile) { return kMostThreads * (tile < 16 ? 8 : 16); }

void launch_encode(const Plan& plan, const void* x, boundary::Number type, float* scores,
                   uint8_t* wire, void* stream) {
  with_subject(type, plan.tile, [&](auto subject) {
    using T = typename decltype(subject)::Type;
    constexpr int kTile = decltype(subject)::kTile;
    const auto* values = static_cast<const T*>(x);
    const auto on = static_cast<cudaStream_t>(stream);
    if (plan.row_tokens > 0)
      launch_token_ranks(plan, values, reinterpret_cast<unsigned*>(scores),
                         wire + plan.precision_at, on);
    const Shape shape(plan, plan.tiles * Lanes<kTile>::kCount);
    const int bytes = SharedParts(plan, shape.pass_tokens).bytes;
    const auto kernel = encode_kernel<T, kTile>;
    allow_shared(kernel, bytes);
    cuda::launch("tah encode_kernel",
                 {dim3(shape.blocks), dim3(shape.threads), static_cast<size_t>(bytes), on}, kernel,
                 plan, shape.pass_tokens, values, wire);
  });
}

}  // namespace qtk::tah
