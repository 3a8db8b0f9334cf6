// A block decodes eight tokens: its part of the message comes into shared memory with 16-byte
// loads, and every value is written once.
#include "lane_kernels.hpp"
#include "tile_registers.cuh"

namespace qtk::tah {
namespace {

using boundary::matched;

/// This block's part of a message in shared memory.
struct Part {
  unsigned* precision;
  const uint8_t* rotation;
  uint8_t *zeros, *scales, *low, *high;
  int64_t first;      // token
  int tokens, tiles;  // of the block

  __device__ Part(const Plan& plan, const SharedParts& parts, uint8_t* shared, const uint8_t* wire)
      : first(static_cast<int64_t>(blockIdx.x) * kTokens),
        tokens(static_cast<int>(min(static_cast<int64_t>(kTokens), plan.tokens - first))),
        tiles(tokens * plan.tiles) {
    precision = reinterpret_cast<unsigned*>(shared + parts.precision);
    rotation = shared + parts.rotation;
    const uint8_t *from_zeros = wire + plan.zeros_at + 2 * first * plan.tiles,
                  *from_scales = wire + plan.scales_at + 2 * first * plan.tiles;
    zeros = matched(shared + parts.zeros, from_zeros);
    scales = matched(shared + parts.scales, from_scales);
    const auto thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
    if (plan.row_tokens == 0) load_codes(plan, parts, shared, wire);
    boundary::start_loading(zeros, from_zeros, 2 * tiles, thread, threads);
    boundary::start_loading(scales, from_scales, 2 * tiles, thread, threads);
    const int64_t group = first / kTokens * plan.tiles;  // of eight tiles
    // From the last thread on: the first ones have more to load.
    for (int i = threads - 1 - thread; i * 8 < tiles; i += threads) {
      shared[parts.rotation + i] = reversed(wire[plan.rotation_at + group + i]);
      if (plan.row_tokens == 0)
        shared[parts.precision + i] = reversed(wire[plan.precision_at + group + i]);
    }
  }

  __device__ void load_codes(const Plan& plan, const SharedParts& parts, uint8_t* shared,
                             const uint8_t* wire) {
    const auto thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
    const int64_t low_before = first * plan.low_per_row,
                  high_before = first * plan.tiles - low_before;
    const int low_tiles = tokens * plan.low_per_row;
    const uint8_t *from_low = wire + code_bytes(low_before * plan.tile, plan.low_bits),
                  *from_high =
                      wire + plan.high_at + code_bytes(high_before * plan.tile, plan.high_bits);
    low = matched(shared + parts.low, from_low);
    high = matched(shared + parts.high, from_high);
    boundary::start_loading(high, from_high, (tiles - low_tiles) * (plan.tile / 8) * plan.high_bits,
                            thread, threads);
    boundary::start_loading(low, from_low, low_tiles * (plan.tile / 8) * plan.low_bits, thread,
                            threads);
  }
};

__device__ const uint8_t* token_codes_at(const Plan& plan, const TokenPlace& place,
                                         const uint8_t* wire) {
  return wire + (place.is_low
                     ? code_bytes(place.place * plan.channels, plan.low_bits)
                     : plan.high_at + code_bytes(place.place * plan.channels, plan.high_bits));
}

/// Finds and loads the codes of every token, a warp each.
__device__ void load_tokens(const Plan& plan, const Part& part, const SharedParts& parts,
                            uint8_t* shared, const uint8_t* wire, TokenPlace* places) {
  const auto thread = static_cast<int>(threadIdx.x);
  for (int token = thread / 32; token < part.tokens; token += static_cast<int>(blockDim.x) / 32) {
    const TokenPlace place = find_token(plan, wire + plan.precision_at, part.first + token);
    const uint8_t* from = token_codes_at(plan, place, wire);
    const int bits = place.is_low ? plan.low_bits : plan.high_bits;
    boundary::copy_bytes(matched(shared + parts.low + token * SharedParts::token_codes(plan), from),
                         from, plan.channels / 8 * bits, thread % 32, 32);
    if (thread % 32 == 0) places[token] = place;
  }
}

/// A tile's codes in shared memory.
struct Codes {
  const uint8_t* at;
  int bits;
  bool is_damaged;
};

/// Of a tile that is ranked within its token.
template <int tile>
__device__ Codes tile_codes(const Plan& plan, const Part& part, const Place& place, int token) {
  const int first = token * plan.tiles, bit = first + place.tile;
  const bool is_low = part.precision[bit / 32] >> (bit & 31) & 1;
  const int before = low_before(plan, part.precision, first, bit);
  const int quota = is_low ? plan.low_per_row : plan.tiles - plan.low_per_row;
  const int in_token = is_low ? before : place.tile - before;
  const bool is_damaged = in_token >= quota;
  const int unit = token * quota + (is_damaged ? 0 : in_token);
  const int bits = is_low ? plan.low_bits : plan.high_bits;
  // Without any tile of the precision there is nothing to read.
  const uint8_t* codes = quota == 0 ? part.zeros : is_low ? part.low : part.high;
  return {codes + (quota == 0 ? 0 : unit * (tile / 8) * bits), quota == 0 ? 0 : bits, is_damaged};
}

template <int tile>
__device__ void read_values(const Codes& codes, int lane, float zero, float scale, Runs<tile>& v) {
#pragma unroll
  for (int run = 0; run < Lanes<tile>::kRuns; ++run) {
    boundary::Octet q;
    boundary::unpack_codes(
        boundary::get_bytes(codes.at + run_begin<tile>(run, lane) / 8 * codes.bits, codes.bits),
        codes.bits, q);
#pragma unroll
    for (int i = 0; i < 8; ++i) v[run][i] = __fadd_rn(__fmul_rn(q[i], scale), zero);
  }
}

template <int tile>
__device__ void rotate_back(const Plan& plan, Runs<tile>& v, int lane, int pivot, unsigned mask) {
  hadamard<tile>(v, lane, plan.rotation_scale, mask);
  swap_with_first<tile>(v, lane, pivot, mask);
}

/// Whether a value of the tile may be beyond the type of the tensor.
template <class T, int tile>
__device__ bool may_exceed(float zero, float scale, int bits, bool is_rotated) {
  const float bound = (fabsf(zero) + fabsf(scale) * static_cast<float>(1 << bits)) *
                      (is_rotated ? static_cast<float>(tile) : 1.0F);
  return !(bound <= boundary::Largest<T>::kValue);
}

template <class T, int tile, bool is_dense>
__global__ void __launch_bounds__(is_dense ? Shape::kDenseThreads : kMostThreads, is_dense ? 3 : 1)
    decode_kernel(const __grid_constant__ Plan plan, const __grid_constant__ SharedParts parts,
                  int pass_tokens, const uint8_t* wire, T* x) {
  constexpr int kLanes = Lanes<tile>::kCount;
  extern __shared__ uint4 memory[];
  __shared__ TokenPlace places[kTokens];
  auto* shared = reinterpret_cast<uint8_t*>(memory);
  const Part part(plan, parts, shared, wire);
  const bool ranks_tiles = plan.row_tokens == 0;
  const Place place(plan, static_cast<int>(threadIdx.x), kLanes);
  if (!ranks_tiles) load_tokens(plan, part, parts, shared, wire, places);
  boundary::wait_for_loads();
  __syncthreads();

  for (int pass = 0; pass < part.tokens; pass += pass_tokens) {
    const bool is_real = place.slot < min(pass_tokens, part.tokens - pass) * plan.tiles;
    const int index = pass * plan.tiles + place.slot, token = pass + place.token;
    Runs<tile> v = {};
    bool is_rotated = false, is_wide = false;
    int pivot = 0;
    if (is_real) {
      Codes codes;
      if (ranks_tiles) {
        codes = tile_codes<tile>(plan, part, place, token);
      } else {
        const TokenPlace& found = places[token];
        const int bits = found.is_low ? plan.low_bits : plan.high_bits;
        uint8_t* begin = shared + parts.low + token * SharedParts::token_codes(plan);
        codes = {matched(begin, token_codes_at(plan, found, wire)) + place.tile * (tile / 8) * bits,
                 bits, found.is_damaged};
      }
      const float zero =
                      codes.is_damaged ? NAN : stored_value(part.zeros + 2 * index, plan.is_half),
                  scale = stored_value(part.scales + 2 * index, plan.is_half);
      read_values<tile>(codes, place.lane, zero, scale, v);
      is_rotated = part.rotation[index / 8] >> (index & 7) & 1;
      is_wide = may_exceed<T, tile>(zero, scale, codes.bits, is_rotated);
      if (is_rotated)
        pivot = read_pivot(wire + plan.pivots_at, part.first * plan.tiles + index, plan.pivot_bits);
    }
    const unsigned mask = __ballot_sync(kAll, is_rotated);
    if (is_rotated) rotate_back<tile>(plan, v, place.lane, pivot, mask);
    if (!is_real) continue;
    T* to = x + part.first * plan.channels + index * tile;
#pragma unroll
    for (int run = 0; run < Lanes<tile>::kRuns; ++run) {
      T* run_to = to + run_begin<tile>(run, place.lane);
      boundary::store_cut(run_to, v[run], is_wide);
    }
  }
}

}  // namespace

void launch_decode(const Plan& plan, const uint8_t* wire, void* x, boundary::Number type,
                   void* stream) {
  if (takes_lanes(plan)) return launch_lane_decode(plan, wire, x, type, stream);
  with_subject(type, plan.tile, [&](auto subject) {
    using T = typename decltype(subject)::Type;
    constexpr int kTile = decltype(subject)::kTile;
    const Shape shape(plan, plan.tiles * Lanes<kTile>::kCount);
    const SharedParts parts(plan, shape.pass_tokens);
    auto* kernel = decode_kernel<T, kTile, false>;
    if constexpr (kTile >= kSmallestDenseTile)
      if (shape.is_dense) kernel = decode_kernel<T, kTile, true>;
    allow_shared(kernel, parts.bytes);
    cuda::launch("tah decode_kernel",
                 {dim3(shape.blocks), dim3(shape.threads), static_cast<size_t>(parts.bytes),
                  static_cast<cudaStream_t>(stream)},
                 kernel, plan, parts, shape.pass_tokens, wire, static_cast<T*>(x));
  });
}

}  // namespace qtk::tah
