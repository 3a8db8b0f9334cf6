// What an encoder finds out about the tiles of 64 elements of a warp: ranges, scores, outliers.
#pragma once

#include "entropy_sums.cuh"
#include "lane_tile.cuh"
#include "tile_copy.cuh"

namespace qtk::tah {

// ---- range -------------------------------------------------------------------------------------

/// NaN is passed over.
struct Range {
  float least, most;

  __device__ float largest_magnitude() const {
    return fmaxf(fmaxf(fabsf(least), fabsf(most)), 0.0F);  // 0 of NaN
  }
  /// Magnitude of another element, so a bound from below of the second largest one.
  __device__ float other_magnitude() const { return fminf(fabsf(least), fabsf(most)); }
};

template <class T>
__device__ Range range_of(const TileView<T>& tile) {
  if constexpr (sizeof(T) == 4) {
    Range range{};
#pragma unroll
    for (int k = 0; k < 8; ++k) {
      boundary::Octet v;
      tile.octet(k, v);
      if (k == 0) range = {v[0], v[0]};
#pragma unroll
      for (const float value : v)
        range.least = fminf(range.least, value), range.most = fmaxf(range.most, value);
    }
    return range;
  } else {  // two at a time
    using Pair = typename PairOf<T>::Type;
    const auto pair = [](const unsigned& word) { return *reinterpret_cast<const Pair*>(&word); };
    Pair least, most;
#pragma unroll
    for (int k = 0; k < 8; ++k) {
      const uint4 raw = tile.vector(k);
      if (k == 0) least = most = pair(raw.x);
      least = __hmin2(__hmin2(least, pair(raw.x)), pair(raw.y));
      most = __hmax2(__hmax2(most, pair(raw.x)), pair(raw.y));
      least = __hmin2(__hmin2(least, pair(raw.z)), pair(raw.w));
      most = __hmax2(__hmax2(most, pair(raw.z)), pair(raw.w));
    }
    return {fminf(boundary::widen(least.x), boundary::widen(least.y)),
            fmaxf(boundary::widen(most.x), boundary::widen(most.y))};
  }
}

/// Infinity and NaN stay.
__device__ inline float cut_to(float value, float largest) {
  return fabsf(value) > largest && fabsf(value) < INFINITY ? copysignf(largest, value) : value;
}

// ---- entropy -----------------------------------------------------------------------------------

/// In the order in which four threads with two runs each, half a tile apart, would add them.
/// @tparam runs  that are unrolled
template <int runs, class T, class Add>
__device__ EntropySums sum_up(const TileView<T>& tile, const Add& add) {
  EntropySums part[4];
#pragma unroll runs
  for (int run = 0; run < 2; ++run) {
    boundary::Octet v[4];
#pragma unroll
    for (int k = 0; k < 4; ++k) tile.octet(4 * run + k, v[k]);
#pragma unroll
    for (int i = 0; i < 8; ++i)
#pragma unroll
      for (int k = 0; k < 4; ++k) add(part[k], v[k][i]);
  }
  part[0].join(part[1]), part[2].join(part[3]);
  part[0].join(part[2]);
  return part[0];
}

/// Of a pair of numbers. Opaque, because the compiler would rather do it to each number.
__device__ inline void magnitudes(unsigned& pair) {
  asm("and.b32 %0, %0, 0x7fff7fff;" : "+r"(pair));
}

/// The same of numbers of 16 bits, without their scale: an operation less, where no logarithm is
/// large.
template <class T>
__device__ EntropySums sum_pairs(const TileView<T>& tile) {
  EntropySums part[4];
#pragma unroll
  for (int k = 0; k < 8; ++k) {
    uint4 raw = tile.vector(k);
    magnitudes(raw.x), magnitudes(raw.y), magnitudes(raw.z), magnitudes(raw.w);
    boundary::Octet p;
    boundary::unpack(raw, p, static_cast<const T*>(nullptr));
#pragma unroll
    for (int i = 0; i < 8; ++i) part[i % 4].add_magnitude(p[i]);
  }
  part[0].join(part[1]), part[2].join(part[3]);
  part[0].join(part[2]);
  return part[0];
}

// ---- tiles with an outlier, or beyond the range of the arithmetic ------------------------------

/// A tile in a team of eight lanes, each with eight neighbouring elements. The four teams of a warp
/// work at once, each on a tile of its own.
struct TeamTile {
  static constexpr int kLanes = 8, kTeams = 32 / kLanes;
  boundary::Octet v;
  int lane;  // in the team

  template <class T>
  __device__ explicit TeamTile(const TileView<T>& tile)
      : lane(static_cast<int>(threadIdx.x) % kLanes) {
    tile.octet(lane, v);
  }
  __device__ void cut(float largest) {
#pragma unroll
    for (float& value : v) value = cut_to(value, largest);
  }
  /// Whether the first element is a number.
  __device__ bool begins_with_number() const {
    const float first = __shfl_sync(kAll, v[0], 0, kLanes);
    return first == first;
  }
  /// First element of a magnitude; a tile of NaN has none.
  __device__ int find_pivot(float magnitude) const {
    int pivot = kLaneTile;
#pragma unroll
    for (int i = 7; i >= 0; --i)
      if (fabsf(v[i]) == magnitude) pivot = 8 * lane + i;
    pivot = joined(pivot, [](int a, int b) { return min(a, b); });
    return pivot == kLaneTile ? 0 : pivot;
  }
  /// Of all but one; NaN is passed over.
  __device__ float largest_without(int pivot) const {
    float largest = 0;
#pragma unroll
    for (int i = 0; i < 8; ++i)
      if (8 * lane + i != pivot) largest = fmaxf(largest, fabsf(v[i]));
    return joined(largest, fmaxf);
  }
  /// Swaps the pivot to the front and multiplies by H / 8.
  __device__ void rotate(int pivot, float scale) {
    const float first = __shfl_sync(kAll, v[0], 0, kLanes);
    float at_pivot = v[0];
#pragma unroll
    for (int i = 1; i < 8; ++i)
      if (i == pivot % 8) at_pivot = v[i];
    at_pivot = __shfl_sync(kAll, at_pivot, pivot / 8, kLanes);
#pragma unroll
    for (int i = 0; i < 8; ++i)
      if (8 * lane + i == pivot) v[i] = first;
    if (lane == 0) v[0] = at_pivot;
    hadamard_eight(v);
#pragma unroll
    for (int offset = 1; offset < kLanes; offset *= 2) hadamard_across(v, lane, offset, kAll);
#pragma unroll
    for (float& value : v) value = __fmul_rn(value, scale);
  }
  __device__ Range range() const {
    Range range{v[0], v[0]};
#pragma unroll
    for (int i = 1; i < 8; ++i)
      range.least = fminf(range.least, v[i]), range.most = fmaxf(range.most, v[i]);
    return {joined(range.least, fminf), joined(range.most, fmaxf)};
  }

 private:
  template <class Number, class Join>
  __device__ static Number joined(Number own, const Join& join) {
#pragma unroll
    for (int offset = 1; offset < kLanes; offset *= 2)
      own = join(own, __shfl_xor_sync(kAll, own, offset));
    return own;
  }
};

/// Which of some lanes a team works for, the first of them for the first team.
struct TeamTurn {
  bool is_active;
  int owner;       // lane that the team works for; any of them if it has nothing to do
  bool is_served;  // whether a team works for this lane
  int team_lane;   // first lane of that team

  __device__ explicit TeamTurn(unsigned lanes) {
    const int lane = static_cast<int>(threadIdx.x % 32),
              before = __popc(lanes & ((1U << lane) - 1));
    is_served = (lanes >> lane & 1) && before < TeamTile::kTeams;
    team_lane = before % TeamTile::kTeams * TeamTile::kLanes;
    unsigned own = lanes;
    for (int team = 0; team < lane / TeamTile::kLanes; ++team) own &= own - 1;
    is_active = own != 0;
    owner = __ffs(static_cast<int>(is_active ? own : lanes)) - 1;
  }
  /// A value of the lane that the team works for.
  template <class Value>
  __device__ Value of_owner(Value value) const {
    return __shfl_sync(kAll, value, owner);
  }
  /// A value of the team that works for this lane.
  template <class Value>
  __device__ Value of_team(Value value) const {
    return __shfl_sync(kAll, value, team_lane);
  }
  /// Lanes whose turn is later.
  __device__ static unsigned later(unsigned lanes) {
#pragma unroll
    for (int team = 0; team < TeamTile::kTeams; ++team) lanes &= lanes - 1;
    return lanes;
  }
};

/// What the rest needs to know of a tile.
struct TileFacts {
  Range range;  // of what is coded: after the rotation
  float score;
  int pivot;
  bool is_rotated, is_cut;
};

/// Finds out whether tiles are rotated, four at a time. @param lanes  whose they are
template <class T>
__device__ void inspect_outliers(const Plan& plan, unsigned lanes, const StagedTiles<T>& tiles,
                                 float first, TileFacts& facts) {
  for (; lanes != 0; lanes = TeamTurn::later(lanes)) {
    const TeamTurn turn(lanes);
    TeamTile tile(tiles.of_warp(turn.owner));
    tile.cut(plan.largest);
    const float largest = turn.of_owner(first);
    const int pivot = tile.find_pivot(largest);
    // As on the host, a tile that begins with NaN has no outlier.
    const bool begins_with_number = tile.begins_with_number();
    const float second = tile.largest_without(pivot);
    const bool is_rotated =
        turn.is_active && begins_with_number && has_outlier(plan, largest, second);
    if (!__any_sync(kAll, is_rotated)) continue;
    tile.rotate(pivot, plan.rotation_scale);
    const Range own = tile.range(), range{turn.of_team(own.least), turn.of_team(own.most)};
    const int rotated_by = turn.of_team(is_rotated ? pivot : -1);
    if (turn.is_served && rotated_by >= 0)
      facts.range = range, facts.pivot = rotated_by, facts.is_rotated = true;
  }
}

/// By a whole warp. @param is_own  whether the lane's tile is not another lane's as well
template <class T>
__device__ TileFacts inspect(const Plan& plan, const StagedTiles<T>& tiles, bool is_own,
                             const TileView<T>& tile) {
  TileFacts facts{.range = range_of(tile)};
  float first = facts.range.largest_magnitude();
  facts.is_cut = first > plan.largest;
  bool is_usual = !facts.is_cut;
  EntropySums sums;
  if constexpr (sizeof(T) == 2) {
    sums = sum_pairs(tile);
    is_usual = first > 0x1p-32F && first < 0x1p32F;
  } else if (is_usual) {
    sums = sum_up<2>(tile, [unit = to_unit(first)](EntropySums& part, float value) {
      part.add_nonzero(value, unit);
    });
  }
  if (!is_usual || !sums.is_finite()) {
    if (facts.is_cut) {
      facts.range = {cut_to(facts.range.least, plan.largest),
                     cut_to(facts.range.most, plan.largest)};
      first = facts.range.largest_magnitude();
    }
    sums = sum_up<1>(tile, [&, unit = to_unit(first)](EntropySums& part, float value) {
      part.add(cut_to(value, plan.largest), unit);
    });
  }
  facts.score = sums.entropy(first);
  // Sums of magnitudes are finite unless one is not: the receiver must see that.
  const bool is_finite = sums.a < INFINITY;
  // Nearly all tiles are seen not to have an outlier from their range alone.
  const unsigned lanes = __ballot_sync(
      kAll, is_own && (!is_finite || has_outlier(plan, first, facts.range.other_magnitude())));
  if (lanes != 0) inspect_outliers(plan, lanes, tiles, first, facts);
  // Adding 0 turns -0 into 0, as on the host.
  const float fault = is_finite ? 0.0F : NAN;
  facts.range.least += fault, facts.range.most += fault;
  if (plan.is_range) facts.score = facts.range.most - facts.range.least;
  return facts;
}

}  // namespace qtk::tah
