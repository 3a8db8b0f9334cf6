// The inside of the CPU's attention: templates over a register tile, compiled once per instruction
// set by attention_cpu.cpp and inlined there as a whole. Pieces of work are independent of each
// other.
#pragma once

#include "model/attention_tiles.hpp"

#include <cmath>
#include <cstdint>
#include <cstring>

namespace qtk::model::attention_kernel {

// Rows of one piece of work, and keys between two updates of the running maximum: multiples of the
// rows and columns of every tile.
constexpr int64_t kQueries = 48, kKeys = 128;
constexpr float kUnseen = -1e30f;  // score of a key that a query must not see

struct Strided {
  const float* data;
  int64_t batch, position, head;  // strides in floats

  const float* row(int64_t b, int64_t s, int64_t h) const {
    return data + b * batch + s * position + h * head;
  }
};

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

/// Buffers of one thread, and what its current piece fills of them.
struct Scratch {
  int64_t rows;    // queries, rounded up to whole tiles
  int64_t width;   // head_dim, rounded up to whole panels
  float* queries;  // [kQueries, head_dim], rotated and scaled
  float* scores;   // [kQueries, kKeys]
  float* sums;     // [kQueries, value panels * columns]
  float maxima[kQueries], totals[kQueries];
};

inline int64_t panels(int64_t count, int64_t columns) { return (count + columns - 1) / columns; }

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
QTK_INLINE void load_queries(const Problem& p, const Piece& piece, Scratch& own) {
  const float scale = 1.0f / std::sqrt(static_cast<float>(p.head_dim));
  for (int64_t r = 0; r < own.rows; ++r) {
    const int64_t position = piece.position(r);
    const float* head = p.q.row(piece.batch, position, piece.head);
    rotate_head<typename Tile::Vector>(p, head, position, scale, own.queries + r * p.head_dim);
    own.maxima[r] = kUnseen;
    own.totals[r] = 0;
  }
  std::memset(own.sums, 0, static_cast<size_t>(own.rows * own.width) * sizeof(float));
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
QTK_INLINE void weigh_block(const Problem& p, const Piece& piece, int64_t begin, int64_t block,
                            Scratch& own) {
  for (int64_t r = 0; r < own.rows; ++r) {
    float *row = own.scores + r * kKeys, *sums = own.sums + r * own.width;
    const int64_t newest = piece.position(r) - begin, oldest = newest - p.window + 1;
    for (int64_t j = newest < 0 ? 0 : newest + 1; j < block; ++j) row[j] = kUnseen;
    for (int64_t j = 0; j < oldest && j < block; ++j) row[j] = kUnseen;
    const float factor = weigh_row<Vector>(row, block, own.maxima[r], own.totals[r]);
    if (factor != 1.0f) scale_row<Vector>(sums, own.width, factor, sums);
  }
}

template <class Tile>
QTK_INLINE void attend(const Problem& p, const Piece& piece, Scratch& own) {
  constexpr int64_t kColumns = Tile::kColumns, kRows = Tile::kRows;
  own.rows = panels(piece.count, kRows) * kRows;
  own.width = panels(p.head_dim, kColumns) * kColumns;
  const int64_t group = piece.batch * p.kv_heads + piece.head / (p.heads / p.kv_heads);
  const int64_t positions = panels(p.positions, kColumns) * kColumns;
  const float* keys = p.keys + group * positions * p.head_dim;
  const float* values = p.values + group * positions * own.width;
  load_queries<Tile>(p, piece, own);

  const int64_t end = piece.first + piece.count, oldest = piece.first - p.window + 1;
  for (int64_t begin = oldest > 0 ? oldest / kColumns * kColumns : 0; begin < end; begin += kKeys) {
    const int64_t block = panels(end - begin < kKeys ? end - begin : kKeys, kColumns) * kColumns;
    for (int64_t column = 0; column < block; column += kColumns)
      for (int64_t r = 0; r < own.rows; r += kRows)
        multiply_tile<Tile, false>(own.queries + r * p.head_dim, p.head_dim,
                                   keys + (begin + column) * p.head_dim, p.head_dim,
                                   own.scores + r * kKeys + column, kKeys);
    weigh_block<typename Tile::Vector>(p, piece, begin, block, own);
    for (int64_t column = 0; column < own.width; column += kColumns)
      for (int64_t r = 0; r < own.rows; r += kRows)
        multiply_tile<Tile, true>(own.scores + r * kKeys, kKeys,
                                  values + column * positions + begin * kColumns, block,
                                  own.sums + r * own.width + column, own.width);
  }
  for (int64_t r = 0; r < piece.count; ++r) {
    float* to =
        p.out + ((piece.batch * p.positions + piece.first + r) * p.heads + piece.head) * p.head_dim;
    scale_row<typename Tile::Vector>(own.sums + r * own.width, p.head_dim, 1.0f / own.totals[r],
                                     to);
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

}  // namespace qtk::model::attention_kernel
