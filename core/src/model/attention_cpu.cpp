#include "model/attention_cpu.hpp"

#include "model/attention_tiles.hpp"

#include <qtk/runtime/check.hpp>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>

namespace qtk::model {
namespace {

constexpr int64_t kQueries = 48;  // rows of one piece of work; a multiple of every tile's rows
constexpr int64_t kKeys =
    128;  // keys between two updates of the running maximum; a multiple of every tile's columns
constexpr float kHidden = -1e30f;

struct Strided {
  const float* data;
  int64_t batch, position, head;  // strides in floats

  const float* row(int64_t b, int64_t s, int64_t h) const {
    return data + b * batch + s * position + h * head;
  }
};

Strided strided(const at::Tensor& x) {
  return {x.const_data_ptr<float>(), x.stride(0), x.stride(1), x.stride(2)};
}

/// Everything that all pieces of work share. "Panel": as many keys (of K) or features (of V) as a
/// tile has columns.
struct Problem {
  int64_t batch, positions, heads, kv_heads, head_dim;
  int64_t window;        // positions for none
  int64_t rotated_half;  // 0: no rotation
  const float *cosines, *sines;
  Strided q, k, v;
  float* keys;    // [batch, kv_heads, key panels, head_dim, columns]
  float* values;  // [batch, kv_heads, value panels, positions rounded up to a panel, columns]
  float* out;     // [batch, positions, heads, head_dim]

  const float* cosines_at(int64_t position) const { return cosines + position * rotated_half; }
  const float* sines_at(int64_t position) const { return sines + position * rotated_half; }
};

/// Buffers of one thread.
struct Scratch {
  float* queries;  // [kQueries, head_dim], rotated and scaled
  float* scores;   // [kQueries, kKeys]
  float* sums;     // [kQueries, value panels * columns]
  float maxima[kQueries], totals[kQueries];
};

int64_t panels(int64_t count, int64_t columns) { return (count + columns - 1) / columns; }

/// to[i] = scale * (the rotated head)[i]
template <class Vector>
QTK_INLINE void rotate_head(const Problem& p, const float* head, int64_t position, float scale,
                            float* to) {
  constexpr int64_t kWidth = sizeof(Vector) / sizeof(float);
  const int64_t half = p.rotated_half;
  const float *cosines = p.cosines_at(position), *sines = p.sines_at(position);
  int64_t i = 0;
  for (; i + kWidth <= half; i += kWidth) {
    const Vector low = load<Vector>(head + i), high = load<Vector>(head + i + half);
    const Vector c = load<Vector>(cosines + i), s = load<Vector>(sines + i);
    store<Vector>(to + i, scale * (low * c - high * s));
    store<Vector>(to + i + half, scale * (high * c + low * s));
  }
  for (; i < half; ++i) {
    to[i] = scale * (head[i] * cosines[i] - head[i + half] * sines[i]);
    to[i + half] = scale * (head[i + half] * cosines[i] + head[i] * sines[i]);
  }
  for (i = 2 * half; i + kWidth <= p.head_dim; i += kWidth)
    store<Vector>(to + i, scale * load<Vector>(head + i));
  for (; i < p.head_dim; ++i) to[i] = scale * head[i];
}

/// Packs one panel of keys, transposed and rotated, and the same positions of V. Positions past the
/// end become zeros.
/// @param key  room for one head
template <class Tile>
QTK_INLINE void pack_panel(const Problem& p, int64_t b, int64_t kv_head, int64_t panel,
                           float* key) {
  constexpr int64_t kColumns = Tile::kColumns;
  const int64_t key_panels = panels(p.positions, kColumns),
                value_panels = panels(p.head_dim, kColumns);
  const int64_t group = b * p.kv_heads + kv_head;
  float* keys = p.keys + (group * key_panels + panel) * p.head_dim * kColumns;
  float* values = p.values + group * value_panels * key_panels * kColumns * kColumns;
  for (int64_t column = 0; column < kColumns; ++column) {
    const int64_t position = panel * kColumns + column;
    const bool exists = position < p.positions;
    if (exists)
      rotate_head<typename Tile::Vector>(p, p.k.row(b, position, kv_head), position, 1, key);
    else
      std::memset(key, 0, static_cast<size_t>(p.head_dim) * sizeof(float));
    for (int64_t i = 0; i < p.head_dim; ++i) keys[i * kColumns + column] = key[i];
    for (int64_t part = 0; part < value_panels; ++part) {
      const int64_t left = p.head_dim - part * kColumns, count = !exists           ? 0
                                                                 : left < kColumns ? left
                                                                                   : kColumns;
      float* to = values + (part * key_panels * kColumns + position) * kColumns;
      if (count > 0)
        std::memcpy(to, p.v.row(b, position, kv_head) + part * kColumns,
                    static_cast<size_t>(count) * sizeof(float));
      std::memset(to + count, 0, static_cast<size_t>(kColumns - count) * sizeof(float));
    }
  }
}

/// One row of scores becomes weights relative to the running maximum; returns the factor for what
/// was summed before.
template <class Vector>
QTK_INLINE float weigh_row(float* scores, int64_t count, float& maximum, float& total) {
  constexpr int64_t kWidth = sizeof(Vector) / sizeof(float);
  Vector top = load<Vector>(scores);
  for (int64_t i = kWidth; i < count; i += kWidth) {
    const Vector next = load<Vector>(scores + i);
    top = next > top ? next : top;
  }
  const float before = maximum, block = largest(top);
  maximum = block > before ? block : before;
  Vector added{};
  for (int64_t i = 0; i < count; i += kWidth) {
    const Vector weight = exponential<Vector>(load<Vector>(scores + i) - maximum);
    store<Vector>(scores + i, weight);
    added += weight;
  }
  const float factor = before == maximum ? 1.0f : std::exp(before - maximum);
  total = total * factor + sum(added);
  return factor;
}

/// The queries of one piece of work: `count` positions of one head from `first` on.
struct Piece {
  int64_t batch, head, first, count;
  /// Position of a row of the scratch; rows past the end repeat the last query.
  int64_t position(int64_t row) const { return first + (row < count ? row : count - 1); }
};

template <class Tile>
QTK_INLINE void load_queries(const Problem& p, const Piece& piece, int64_t tile_rows, int64_t width,
                             Scratch& own) {
  const float scale = 1.0f / std::sqrt(static_cast<float>(p.head_dim));
  for (int64_t r = 0; r < tile_rows; ++r) {
    const int64_t position = piece.position(r);
    const float* head = p.q.row(piece.batch, position, piece.head);
    rotate_head<typename Tile::Vector>(p, head, position, scale, own.queries + r * p.head_dim);
    own.maxima[r] = kHidden;
    own.totals[r] = 0;
  }
  std::memset(own.sums, 0, static_cast<size_t>(tile_rows * width) * sizeof(float));
}

/// to = from * factor; `count` is a multiple of the vector's width, except for a tail that scalars
/// take.
template <class Vector>
QTK_INLINE void scale_row(const float* from, int64_t count, float factor, float* to) {
  constexpr int64_t kWidth = sizeof(Vector) / sizeof(float);
  int64_t i = 0;
  for (; i + kWidth <= count; i += kWidth) store<Vector>(to + i, load<Vector>(from + i) * factor);
  for (; i < count; ++i) to[i] = from[i] * factor;
}

/// Scores of keys begin ... begin + block - 1 become weights; earlier sums are rescaled to the new
/// maximum.
template <class Vector>
QTK_INLINE void weigh_block(const Problem& p, const Piece& piece, int64_t tile_rows, int64_t width,
                            int64_t begin, int64_t block, Scratch& own) {
  for (int64_t r = 0; r < tile_rows; ++r) {
    float* row = own.scores + r * kKeys;
    const int64_t newest = piece.position(r) - begin, oldest = newest - p.window + 1;
    for (int64_t j = newest < 0 ? 0 : newest + 1; j < block; ++j) row[j] = kHidden;
    for (int64_t j = 0; j < oldest && j < block; ++j) row[j] = kHidden;
    const float factor = weigh_row<Vector>(row, block, own.maxima[r], own.totals[r]);
    if (factor == 1.0f) continue;
    scale_row<Vector>(own.sums + r * width, width, factor, own.sums + r * width);
  }
}

template <class Tile>
QTK_INLINE void attend(const Problem& p, const Piece& piece, Scratch& own) {
  constexpr int64_t kColumns = Tile::kColumns, kRows = Tile::kRows;
  const int64_t group = piece.batch * p.kv_heads + piece.head / (p.heads / p.kv_heads);
  const int64_t positions = panels(p.positions, kColumns) * kColumns,
                width = panels(p.head_dim, kColumns) * kColumns;
  const float* keys = p.keys + group * positions * p.head_dim;
  const float* values = p.values + group * positions * width;
  const int64_t tile_rows = panels(piece.count, kRows) * kRows;
  load_queries<Tile>(p, piece, tile_rows, width, own);

  const int64_t end = piece.first + piece.count, oldest = piece.first - p.window + 1;
  for (int64_t begin = oldest > 0 ? oldest / kColumns * kColumns : 0; begin < end; begin += kKeys) {
    const int64_t block = panels(end - begin < kKeys ? end - begin : kKeys, kColumns) * kColumns;
    for (int64_t column = 0; column < block; column += kColumns)
      for (int64_t r = 0; r < tile_rows; r += kRows)
        multiply_tile<Tile, false>(own.queries + r * p.head_dim, p.head_dim,
                                   keys + (begin + column) * p.head_dim, p.head_dim,
                                   own.scores + r * kKeys + column, kKeys);
    weigh_block<typename Tile::Vector>(p, piece, tile_rows, width, begin, block, own);
    for (int64_t column = 0; column < width; column += kColumns)
      for (int64_t r = 0; r < tile_rows; r += kRows)
        multiply_tile<Tile, true>(own.scores + r * kKeys, kKeys,
                                  values + column * positions + begin * kColumns, block,
                                  own.sums + r * width + column, width);
  }
  for (int64_t r = 0; r < piece.count; ++r) {
    float* to =
        p.out + ((piece.batch * p.positions + piece.first + r) * p.heads + piece.head) * p.head_dim;
    scale_row<typename Tile::Vector>(own.sums + r * width, p.head_dim, 1.0f / own.totals[r], to);
  }
}

template <class Tile>
QTK_INLINE void pack_range(const Problem& p, int64_t begin, int64_t end, Scratch& own) {
  const int64_t count = panels(p.positions, Tile::kColumns);
  for (int64_t i = begin; i < end; ++i)
    pack_panel<Tile>(p, i / count / p.kv_heads, i / count % p.kv_heads, i % count, own.queries);
}

/// Pieces alternate between the cheap start and the dear end of a sequence, so that equal counts
/// are equal work.
template <class Tile>
QTK_INLINE void attend_range(const Problem& p, int64_t begin, int64_t end, Scratch& own) {
  const int64_t count = panels(p.positions, kQueries);
  for (int64_t i = begin; i < end; ++i) {
    const int64_t turn = i % count, block = turn % 2 == 0 ? turn / 2 : count - 1 - turn / 2;
    const int64_t first = block * kQueries;
    attend<Tile>(p,
                 {.batch = i / count / p.heads,
                  .head = i / count % p.heads,
                  .first = first,
                  .count = p.positions - first < kQueries ? p.positions - first : kQueries},
                 own);
  }
}

struct Kernel {
  int64_t columns;  // of its tile
  void (*pack)(const Problem&, int64_t begin, int64_t end, Scratch& own);
  void (*attend)(const Problem&, int64_t begin, int64_t end, Scratch& own);
};

#if defined(__x86_64__)
#define QTK_AVX512 __attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")))
#define QTK_AVX2 __attribute__((target("avx2,fma")))
QTK_AVX512 void pack_avx512(const Problem& p, int64_t begin, int64_t end, Scratch& own) {
  pack_range<Avx512Tile>(p, begin, end, own);
}
QTK_AVX512 void attend_avx512(const Problem& p, int64_t begin, int64_t end, Scratch& own) {
  attend_range<Avx512Tile>(p, begin, end, own);
}
QTK_AVX2 void pack_avx2(const Problem& p, int64_t begin, int64_t end, Scratch& own) {
  pack_range<Avx2Tile>(p, begin, end, own);
}
QTK_AVX2 void attend_avx2(const Problem& p, int64_t begin, int64_t end, Scratch& own) {
  attend_range<Avx2Tile>(p, begin, end, own);
}

Kernel kernel_of(CpuAttention kind) {
  QTK_CHECK(kind != CpuAttention::kNone, "no attention kernel for this processor");
  if (kind == CpuAttention::kAvx512) return {Avx512Tile::kColumns, pack_avx512, attend_avx512};
  return {Avx2Tile::kColumns, pack_avx2, attend_avx2};
}

CpuAttention detect() {
  const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool has_avx512 = has_avx2 && __builtin_cpu_supports("avx512f") &&
                          __builtin_cpu_supports("avx512vl") &&
                          __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
  return has_avx512 ? CpuAttention::kAvx512 : has_avx2 ? CpuAttention::kAvx2 : CpuAttention::kNone;
}
#else
Kernel kernel_of(CpuAttention) {
  QTK_CHECK(false, "no attention kernel for this processor");
  return {};
}
CpuAttention detect() { return CpuAttention::kNone; }
#endif

/// Pieces that are worth waking another thread; `cost` of one in multiples of what a processor
/// moves per cycle.
int64_t pieces_per_task(int64_t cost) {
  return std::max<int64_t>(1, 32768 / std::max<int64_t>(1, cost));
}

void run(const Problem& p, const Kernel& kernel) {
  using Phase = void (*)(const Problem&, int64_t, int64_t, Scratch&);
  const int64_t width = panels(p.head_dim, kernel.columns) * kernel.columns;
  const auto in_parallel = [&](Phase phase, int64_t pieces, int64_t pieces_per_task) {
    at::parallel_for(0, pieces, pieces_per_task, [&](int64_t begin, int64_t end) {
      // Aligned to a cache line, as ATen's memory is.
      const auto buffer = at::empty({kQueries * (kKeys + width + p.head_dim)}, at::kFloat);
      Scratch own;
      own.scores = buffer.mutable_data_ptr<float>();
      own.sums = own.scores + kQueries * kKeys;
      own.queries = own.sums + kQueries * width;
      phase(p, begin, end, own);
    });
  };
  const int64_t key_panels = panels(p.positions, kernel.columns),
                query_blocks = panels(p.positions, kQueries);
  in_parallel(kernel.pack, p.batch * p.kv_heads * key_panels,
              pieces_per_task(2 * kernel.columns * p.head_dim));
  in_parallel(kernel.attend, p.batch * p.heads * query_blocks,
              pieces_per_task(kQueries * std::min(p.positions, p.window) * p.head_dim / 8));
}

}  // namespace

CpuAttention best_cpu_attention() {
  static const CpuAttention best = detect();
  return best;
}

at::Tensor cpu_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                         const RotaryTable& rotary, std::optional<int64_t> window,
                         CpuAttention kind) {
  const int64_t batch = q.size(0), positions = q.size(1), heads = q.size(2), head_dim = q.size(3);
  const int64_t kv_heads = k.size(2);
  QTK_CHECK(k.sizes() == v.sizes() && k.size(0) == batch && k.size(1) == positions &&
                k.size(3) == head_dim && heads % kv_heads == 0,
            "attention: q ", q.sizes(), ", k ", k.sizes(), ", v ", v.sizes());
  QTK_CHECK(q.stride(3) == 1 && k.stride(3) == 1 && v.stride(3) == 1,
            "attention: features are not contiguous");
  const bool rotates = rotary.cosines.defined();
  QTK_CHECK(
      !rotates || (rotary.cosines.is_contiguous() && rotary.sines.is_contiguous() &&
                   rotary.cosines.size(0) >= positions && 2 * rotary.cosines.size(1) <= head_dim),
      "attention: rotary table does not fit");

  const Kernel kernel = kernel_of(kind);
  const int64_t padded = panels(positions, kernel.columns) * kernel.columns;
  const int64_t width = panels(head_dim, kernel.columns) * kernel.columns;
  const auto keys = at::empty({batch * kv_heads * padded * head_dim}, q.options());
  const auto values = at::empty({batch * kv_heads * padded * width}, q.options());
  auto out = at::empty({batch, positions, heads, head_dim}, q.options());
  run({.batch = batch,
       .positions = positions,
       .heads = heads,
       .kv_heads = kv_heads,
       .head_dim = head_dim,
       .window = window.value_or(positions),
       .rotated_half = rotates ? rotary.cosines.size(1) : 0,
       .cosines = rotates ? rotary.cosines.const_data_ptr<float>() : nullptr,
       .sines = rotates ? rotary.sines.const_data_ptr<float>() : nullptr,
       .q = strided(q),
       .k = strided(k),
       .v = strided(v),
       .keys = keys.mutable_data_ptr<float>(),
       .values = values.mutable_data_ptr<float>(),
       .out = out.mutable_data_ptr<float>()},
      kernel);
  return out;
}

}  // namespace qtk::model
