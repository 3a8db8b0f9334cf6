// What the blocks of the encoder and of the decoder have in common. A block takes eight tokens, so
// that its part of every bit map is whole bytes, in passes of as many tokens as its threads hold.
#pragma once

#include "tah_kernels.hpp"

#include <qtk/cuda/launch.hpp>

#include <boundary_codec/device_values.cuh>

#include <algorithm>
#include <cstdint>

namespace qtk::tah {

constexpr int kTokens = 8;  // of a block
constexpr int kMostThreads = 1024;
constexpr unsigned kAll = 0xffffffffU;

/// A tile in the registers of neighbouring threads. A thread holds one or two runs of eight
/// elements, half a tile apart.
template <int tile>
struct Lanes {
  static constexpr int kElements = tile < 16 ? tile : 16;  // of a thread
  static constexpr int kCount = tile / kElements;          // threads of a tile
  static constexpr int kRuns = kElements / 8;
};

/// Quotient of small numbers; exact below 2^20.
__device__ inline int divide(int number, int by) {
  return static_cast<int>((static_cast<float>(number) + 0.5F) * __frcp_rn(static_cast<float>(by)));
}

/// Which tile of a pass a thread has.
struct Place {
  int lane;   // in the tile
  int slot;   // tile in the pass
  int token;  // in the pass
  int tile;   // in the token

  __device__ Place(const Plan& plan, int thread, int lanes)
      : lane(thread & (lanes - 1)), slot(thread / lanes) {
    token = divide(slot, plan.tiles);
    tile = slot - token * plan.tiles;
  }
};

/// Element of a tile at which a thread's run begins.
template <int tile>
__device__ int run_begin(int run, int lane) {
  return run * (tile / 2) + lane * 8;
}

/// Set bits among bits [begin, end) of a map, bit i in word i / 32.
__device__ inline int count_bits(const unsigned* map, int begin, int end) {
  int count = 0;
  for (int word = begin / 32; word * 32 < end; ++word) {
    unsigned bits = map[word];
    if (word * 32 < begin) bits &= ~0U << (begin & 31);
    if (word * 32 + 32 > end) bits &= ~(~0U << (end & 31));
    count += __popc(bits);
  }
  return count;
}

/// The same of up to 32 bits, at most one word on.
__device__ inline int count_few_bits(const unsigned* map, int begin, int end) {
  const unsigned window = __funnelshift_r(map[begin / 32], map[begin / 32 + 1], begin & 31);
  return __popc(window & ~(~0U << (end - begin)));
}

/// Units of low precision in a token before bit `end` of the map.
__device__ inline int low_before(const Plan& plan, const unsigned* map, int begin, int end) {
  return plan.tiles <= 32 ? count_few_bits(map, begin, end) : count_bits(map, begin, end);
}

/// The bytes of a map in a message are most significant bit first, those in shared memory least.
__device__ inline uint8_t reversed(unsigned byte) {
  return static_cast<uint8_t>(__brev(byte) >> 24);
}

/// Pivot of a tile in a message.
__device__ inline int read_pivot(const uint8_t* pivots, int64_t tile, int bits) {
  const int64_t bit = tile * bits;
  const auto skip = static_cast<int>(bit & 7);
  unsigned window = static_cast<unsigned>(pivots[bit / 8]) << 8;
  if (skip + bits > 8) window |= pivots[bit / 8 + 1];
  return static_cast<int>(window >> (16 - skip - bits) & ((1U << bits) - 1));
}

/// Where the codes of a token lie: place among the units of its precision, in tokens.
struct TokenPlace {
  int64_t place;
  bool is_low, is_damaged;
};

/// For the allocation by tokens, by a whole warp, from the map in the message.
__device__ inline TokenPlace find_token(const Plan& plan, const uint8_t* map, int64_t token) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int64_t row = token / plan.row_tokens, begin = row * plan.row_tokens;
  int count = 0;
  for (int64_t byte = begin / 8 + lane; byte * 8 < token; byte += 32) {
    unsigned bits = map[byte];  // the first token in bit 7
    if (byte * 8 < begin) bits &= 0xffU >> (begin - byte * 8);
    if (byte * 8 + 8 > token) bits &= ~(0xffU >> (token - byte * 8));
    count += __popc(bits & 0xffU);
  }
  for (int offset = 16; offset > 0; offset /= 2) count += __shfl_xor_sync(kAll, count, offset);
  TokenPlace found;
  found.is_low = map[token / 8] >> (7 - token % 8) & 1;
  const int64_t quota = found.is_low ? plan.low_per_row : plan.row_tokens - plan.low_per_row;
  const int64_t in_row = found.is_low ? count : token - begin - count;
  found.is_damaged = in_row >= quota;
  found.place = row * quota + (found.is_damaged ? 0 : in_row);
  return found;
}

/// Bytes of the codes of `elements` elements; whole bytes in all uses here.
__host__ __device__ inline int64_t code_bytes(int64_t elements, int bits) {
  return elements * bits / 8;
}

/// Scores of a token's tiles, four to a vector.
__host__ __device__ inline int key_stride(const Plan& plan) { return (plan.tiles + 3) / 4 * 4; }

/// Shared memory of a block: aligned parts, one after the other.
struct SharedParts {
  int keys, cells, precision, rotation, pivots, zeros, scales, low, high, bytes;

  /// Codes lie in `low` and `high` where tiles are ranked, else in kTokens parts of `token_codes`
  /// bytes from `low` on.
  SharedParts(const Plan& plan, int pass_tokens) {
    const int tiles = kTokens * plan.tiles, words = (tiles + 31) / 32 + 1;
    int at = 0;
    const auto part = [&at](int64_t size) {
      const int begin = at;
      at += static_cast<int>((size + 15) / 16 * 16);
      return begin;
    };
    keys = part(4 * (pass_tokens * key_stride(plan)));
    cells = part(16 * (pass_tokens * plan.tiles));
    precision = part(4 * words);
    rotation = part(4 * words);
    pivots = part(tiles + 8);
    zeros = part(2 * tiles + 16);
    scales = part(2 * tiles + 16);
    if (plan.row_tokens > 0) {
      low = high = part(static_cast<int64_t>(kTokens) * token_codes(plan));
    } else {
      const int64_t low_tiles = static_cast<int64_t>(kTokens) * plan.low_per_row;
      low = part(code_bytes(low_tiles * plan.tile, plan.low_bits) + 16);
      high = part(code_bytes((tiles - low_tiles) * plan.tile, plan.high_bits) + 16);
    }
    bytes = at;
  }

  /// Room for the codes of one token, wherever they lie in the message.
  __host__ __device__ static int token_codes(const Plan& plan) {
    return static_cast<int>((code_bytes(plan.channels, plan.high_bits) + 16 + 15) / 16 * 16);
  }
};

/// As many tokens at once as `threads` threads hold, a divisor of kTokens.
inline int pass_tokens_of(int token_lanes, int threads) {
  int tokens = kTokens;
  while (tokens > 1 && tokens * token_lanes > threads) tokens /= 2;
  return tokens;
}

/// Blocks of a launch. Few tokens are all in flight at once, in large blocks; many go through
/// smaller ones with fewer registers, several to a multiprocessor.
struct Shape {
  static constexpr int kDenseThreads = 416;  // three times, with 48 registers each

  unsigned blocks, threads;
  int pass_tokens;
  bool is_dense;

  Shape(const Plan& plan, int token_lanes) {
    constexpr int64_t kFewBlocks = 264;  // two for each multiprocessor of an H100
    const int64_t count = (plan.tokens + kTokens - 1) / kTokens;
    blocks = static_cast<unsigned>(count);
    is_dense = count > kFewBlocks && token_lanes <= kDenseThreads;
    pass_tokens = pass_tokens_of(token_lanes, is_dense ? kDenseThreads : kMostThreads);
    threads = static_cast<unsigned>((pass_tokens * token_lanes + 31) / 32 * 32);
  }
};

/// Smaller tiles have no kernel of their own for many tokens.
constexpr int kSmallestDenseTile = 32;

/// Raises the limit on shared memory where a block needs more than the default.
template <class Kernel>
void allow_shared(Kernel kernel, int bytes) {
  constexpr int kDefault = 48 * 1024;
  if (bytes > kDefault)
    QTK_CUDA_CHECK(
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
}

/// Calls `visit` with a number of a type.
template <class Visit>
void with_number(boundary::Number type, Visit&& visit) {
  if (type == boundary::Number::kFloat) return visit(float{});
  if (type == boundary::Number::kBfloat16) return visit(__nv_bfloat16{});
  visit(__half{});
}

template <class T, int size>
struct Subject {
  using Type = T;
  static constexpr int kTile = size;
};

/// Calls `visit(Subject)` of a number type and a tile size.
template <class Visit>
void with_subject(boundary::Number type, int tile, Visit&& visit) {
  with_number(type, [&](auto number) {
    using T = decltype(number);
    switch (tile) {
      case 8:
        return visit(Subject<T, 8>{});
      case 16:
        return visit(Subject<T, 16>{});
      case 32:
        return visit(Subject<T, 32>{});
      case 64:
        return visit(Subject<T, 64>{});
      case 128:
        return visit(Subject<T, 128>{});
      default:
        return visit(Subject<T, 256>{});
    }
  });
}

}  // namespace qtk::tah
