// A block encodes eight tokens, a lane a tile of 64 elements. The tiles come into shared memory in
// one copy and are read there as often as needed: for the range, for the entropy, and, once the
// tiles of a token are ranked, for the codes, which go straight to the message.
#include "tile_codes.cuh"

namespace qtk::tah {
namespace {

constexpr int kBlocksAtOnce = 5;  // of a multiprocessor

/// Where the parts of a message lie.
struct Message {
  uint8_t *low, *high;
  uint16_t *zeros, *scales;
  uint8_t *precision, *rotation, *pivots;

  Message(const Plan& plan, uint8_t* wire)
      : low(wire),
        high(wire + plan.high_at),
        zeros(reinterpret_cast<uint16_t*>(wire + plan.zeros_at)),
        scales(reinterpret_cast<uint16_t*>(wire + plan.scales_at)),
        precision(wire + plan.precision_at),
        rotation(wire + plan.rotation_at),
        pivots(wire + plan.pivots_at) {}
};

/// Shared memory beside the tiles.
struct Board {
  Arrival tiles;
  unsigned keys[kLaneThreads];     // of the tiles of a token, then of the next
  unsigned low[kTokens + 1];       // tiles of low precision of a token; the last is 0
  unsigned rotated[kTokens];       // of a warp's tiles
  uint2 pivots[kLaneThreads / 8];  // a byte each, 0 where a tile is not rotated
};

/// Of `tokens` tokens at once, the tiles with the lowest keys, earlier ones first.
/// @param key  of the lane's tile; ~0 where there is none
template <int tokens>
__device__ void find_lowest(unsigned (&key)[tokens], int count, unsigned (&lowest)[tokens]) {
  constexpr unsigned kTaken = ~0U;  // above all keys
  const int lane = static_cast<int>(threadIdx.x % 32);
#pragma unroll
  for (unsigned& each : lowest) each = 0;
  for (int i = 0; i < count; ++i)
#pragma unroll
    for (int token = 0; token < tokens; ++token) {
      const unsigned least = __reduce_min_sync(kAll, key[token]),
                     holders = __ballot_sync(kAll, key[token] == least),
                     first = holders & (0U - holders);
      lowest[token] |= first;
      if (first >> lane & 1) key[token] = kTaken;
    }
}

/// A warp has one or two of the tokens. Where there is no token, no tile is of low precision.
/// @param tokens  of the group
__device__ void rank_tiles(const Plan& plan, int tokens, Board& board) {
  const int lane = static_cast<int>(threadIdx.x % 32), first = static_cast<int>(threadIdx.x / 32),
            second = first + static_cast<int>(blockDim.x / 32);
  const auto key_in = [&](int token) {
    return lane < plan.tiles ? board.keys[token * plan.tiles + lane] : ~0U;
  };
  const auto write = [&](int token, unsigned lowest) {
    if (lane == 0) board.low[token] = token < tokens ? lowest : 0;
  };
  if (second < kTokens) {
    unsigned keys[] = {key_in(first), key_in(second)}, lowest[2];
    find_lowest(keys, plan.low_per_row, lowest);
    write(first, lowest[0]), write(second, lowest[1]);
  } else {
    unsigned keys[] = {key_in(first)}, lowest[1];
    find_lowest(keys, plan.low_per_row, lowest);
    write(first, lowest[0]);
  }
}

/// Eight bits of the map of a group, of which `tokens` has a word for each token.
__device__ uint8_t token_map_byte(const unsigned* tokens, int tiles, int byte) {
  const int token = divide(8 * byte, tiles), skip = 8 * byte - token * tiles;
  unsigned bits = tokens[token] >> skip;
  if (tiles - skip < 8) bits |= tokens[token + 1] << (tiles - skip);
  return reversed(bits & 0xffU);
}

/// Eight pivots in six bytes. @param count  bytes to write
__device__ void write_pivots(const uint2& eight, int count, uint8_t* to) {
  constexpr int kBits = 6;
  uint64_t stream = 0;
#pragma unroll
  for (int k = 0; k < 8; ++k)
    stream = stream << kBits | ((k < 4 ? eight.x : eight.y) >> (8 * (k % 4)) & 0xffU);
#pragma unroll
  for (int byte = 0; byte < kBits; ++byte)
    if (byte < count) to[byte] = static_cast<uint8_t>(stream >> (8 * (kBits - 1 - byte)));
}

/// Of `tiles` tiles, each map by a warp.
__device__ void write_maps(const Plan& plan, const Message& message, const Board& board, int group,
                           int tiles) {
  const int warp = static_cast<int>(threadIdx.x / 32), byte = static_cast<int>(threadIdx.x % 32);
  if (warp > 2 || 8 * byte >= tiles) return;
  const int at = group * plan.tiles + byte;
  if (warp == 0) {
    message.precision[at] = token_map_byte(board.low, plan.tiles, byte);
  } else if (warp == 1) {
    message.rotation[at] = reversed(board.rotated[byte / 4] >> (8 * (byte % 4)) & 0xffU);
  } else {
    const int count = min(8, tiles - 8 * byte);
    write_pivots(board.pivots[byte], (count * 6 + 7) / 8, message.pivots + at * 6);
  }
}

template <class T>
__global__ void __launch_bounds__(kLaneThreads, kBlocksAtOnce)
    lane_encode_kernel(const __grid_constant__ Plan plan, const __grid_constant__ CUtensorMap map,
                       const __grid_constant__ Message message, float tiles_inverse) {
  extern __shared__ __align__(1024) uint8_t staged[];
  __shared__ Board board;
  const auto thread = static_cast<int>(threadIdx.x);
  const int tiles = plan.tiles, box = kTokens * tiles;
  const auto group = static_cast<int>(blockIdx.x);
  if (thread == 0) board.tiles.open(), board.low[kTokens] = 0;
  wait_for_earlier_work();
  if (thread == 0) board.tiles.template start<T>(map, staged, group * box, box);
  // A lane beyond the tiles repeats the last one.
  const int row = min(thread, box - 1),
            token = static_cast<int>((static_cast<float>(row) + 0.5F) * tiles_inverse),
            at = row - token * tiles;
  const int group_tokens = min(kTokens, static_cast<int>(plan.tokens) - group * kTokens),
            real = group_tokens * tiles;
  const bool is_real = thread < real;
  __syncthreads();
  board.tiles.wait();
  const StagedTiles<T> all{staged, Arrival::plane_bytes(box)};
  const TileView<T> tile = all.view(row);
  const TileFacts facts = inspect(plan, all, is_real, tile);
  board.keys[thread] = key_of(facts.score);
  reinterpret_cast<uint8_t*>(board.pivots)[thread] = static_cast<uint8_t>(facts.pivot);
  const unsigned rotated = __ballot_sync(kAll, facts.is_rotated);
  if (thread % 32 == 0) board.rotated[thread / 32] = rotated;
  __syncthreads();
  rank_tiles(plan, group_tokens, board);
  __syncthreads();
  write_maps(plan, message, board, group, real);
  const unsigned low = board.low[token];
  const bool is_low = low >> at & 1;
  const int bits = is_low ? plan.low_bits : plan.high_bits;
  const Grid grid(plan, facts.range.least, facts.range.most, bits, Grid::Fitting{});
  const int first_tile = group * box + row,
            low_tiles =
                (group * kTokens + token) * plan.low_per_row + __popc(low & ((1U << at) - 1)),
            unit = is_low ? low_tiles : first_tile - low_tiles;
  const Coding coding{.zero = grid.zero,
                      .scale = grid.scale,
                      .bits = bits,
                      .is_limited = grid.is_cut,
                      .to = (is_low ? message.low : message.high) + unit * (8 * bits)};
  const bool is_changed = facts.is_cut || facts.is_rotated;
  if (is_real) {
    message.zeros[first_tile] = grid.stored_zero.bits;
    message.scales[first_tile] = grid.stored_scale.bits;
    if (!is_changed) write_codes(tile, coding);
  }
  const unsigned changed = __ballot_sync(kAll, is_real && is_changed);
  if (changed != 0) write_changed_codes(plan, changed, all, facts, coding);
}

}  // namespace

void launch_lane_encode(const Plan& plan, const void* x, boundary::Number type, uint8_t* wire,
                        void* stream) {
  with_number(type, [&](auto number) {
    using T = decltype(number);
    const int box = kTokens * plan.tiles, threads = (box + 31) / 32 * 32,
              shared = TileRows<T>::kPlanes * Arrival::plane_bytes(box);
    const CUtensorMap map = tile_map<T>(x, type, plan.tokens * plan.tiles, box);
    auto* kernel = lane_encode_kernel<T>;
    allow_shared(kernel, shared);
    launch_early("tah lane_encode_kernel",
                 {dim3(static_cast<unsigned>((plan.tokens + kTokens - 1) / kTokens)),
                  dim3(static_cast<unsigned>(threads)), static_cast<size_t>(shared),
                  static_cast<cudaStream_t>(stream)},
                 kernel, plan, map, Message(plan, wire), 1.0F / static_cast<float>(plan.tiles));
  });
}

}  // namespace qtk::tah
