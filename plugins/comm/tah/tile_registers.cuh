// A tile in the registers of neighbouring threads: peaks, rotation, zero point and scale. The
// arithmetic is that of tile_rotation.cpp and metadata_float.hpp, operation for operation, so that
// both give the same bits.
#pragma once

#include "tile_block.cuh"

namespace qtk::tah {

template <int tile>
using Runs = float[Lanes<tile>::kRuns][8];

template <int lanes, class Join>
__device__ void join_lanes(const Join& join) {
#pragma unroll
  for (int offset = 1; offset < lanes; offset *= 2) join(offset);
}

template <int lanes>
__device__ float lanes_sum(float value) {
  join_lanes<lanes>([&](int offset) { value += __shfl_xor_sync(kAll, value, offset); });
  return value;
}
template <int lanes>
__device__ float lanes_max(float value) {
  join_lanes<lanes>(
      [&](int offset) { value = fmaxf(value, __shfl_xor_sync(kAll, value, offset)); });
  return value;
}
/// The two largest magnitudes of a tile, and its least and largest value; NaN is passed over.
struct Extremes {
  float first, second, least, most;

  __device__ void join(const Extremes& other) {
    second = fmaxf(fmaxf(second, other.second), fminf(first, other.first));
    first = fmaxf(first, other.first);
    least = fminf(least, other.least);
    most = fmaxf(most, other.most);
  }
};

template <int tile>
__device__ Extremes own_extremes(const Runs<tile>& v) {
  Extremes e{0, 0, v[0][0], v[0][0]};
#pragma unroll
  for (const auto& run : v)
#pragma unroll
    for (const float value : run) {
      const float magnitude = fabsf(value);
      e.second = fmaxf(e.second, fminf(e.first, magnitude));
      e.first = fmaxf(e.first, magnitude);
      e.least = fminf(e.least, value);
      e.most = fmaxf(e.most, value);
    }
  return e;
}

template <class T>
struct PairOf;
template <>
struct PairOf<__nv_bfloat16> {
  using Type = __nv_bfloat162;
};
template <>
struct PairOf<__half> {
  using Type = __half2;
};

/// The same of 16-bit numbers, two at a time.
template <class T, int runs>
__device__ Extremes own_extremes(const boundary::Raw<T> (&raw)[runs]) {
  using Pair = typename PairOf<T>::Type;
  const auto pair = [&](int i) {
    const uint4& words = raw[i / 4].at;
    const unsigned word = i % 4 == 0   ? words.x
                          : i % 4 == 1 ? words.y
                          : i % 4 == 2 ? words.z
                                       : words.w;
    return *reinterpret_cast<const Pair*>(&word);
  };
  const unsigned nothing = 0;
  Pair first = __habs2(pair(0)), second = *reinterpret_cast<const Pair*>(&nothing), least = pair(0),
       most = least;
#pragma unroll
  for (int i = 1; i < 4 * runs; ++i) {
    const Pair value = pair(i), magnitude = __habs2(value);
    second = __hmax2(second, __hmin2(first, magnitude));
    first = __hmax2(first, magnitude);
    least = __hmin2(least, value);
    most = __hmax2(most, value);
  }
  Extremes e{boundary::widen(first.x), boundary::widen(second.x), boundary::widen(least.x),
             boundary::widen(most.x)};
  e.join({boundary::widen(first.y), boundary::widen(second.y), boundary::widen(least.y),
          boundary::widen(most.y)});
  return e;
}

template <int lanes>
__device__ void join_extremes(Extremes& e) {
  join_lanes<lanes>([&](int offset) {
    e.join({__shfl_xor_sync(kAll, e.first, offset), __shfl_xor_sync(kAll, e.second, offset),
            __shfl_xor_sync(kAll, e.least, offset), __shfl_xor_sync(kAll, e.most, offset)});
  });
}

/// Of the two largest magnitudes.
__device__ inline bool has_outlier(const Plan& plan, float first, float second) {
  if (plan.is_threshold_exact) return first >= plan.exact_threshold * second;
  return plan.threshold >= 0 &&
         static_cast<double>(first) >= plan.threshold * static_cast<double>(second);
}

// Rotations are made by the tiles that need one; `mask` names their threads.

/// First element of a magnitude.
template <int tile>
__device__ int find_pivot(const Runs<tile>& v, int lane, float magnitude, unsigned mask) {
  int pivot = tile;
#pragma unroll
  for (int run = Lanes<tile>::kRuns - 1; run >= 0; --run)
#pragma unroll
    for (int i = 7; i >= 0; --i)
      if (fabsf(v[run][i]) == magnitude) pivot = run_begin<tile>(run, lane) + i;
  join_lanes<Lanes<tile>::kCount>(
      [&](int offset) { pivot = min(pivot, __shfl_xor_sync(mask, pivot, offset)); });
  return pivot == tile ? 0 : pivot;  // a tile of NaN has none
}

template <int tile>
__device__ void swap_with_first(Runs<tile>& v, int lane, int pivot, unsigned mask) {
  constexpr int kLanes = Lanes<tile>::kCount, kHalf = tile / 2;
  const int run = Lanes<tile>::kRuns == 1 ? 0 : pivot / kHalf;
  const int owner = (pivot - run * kHalf) / 8, index = pivot & 7;
  float at_pivot = 0;
#pragma unroll
  for (int r = 0; r < Lanes<tile>::kRuns; ++r)
#pragma unroll
    for (int i = 0; i < 8; ++i)
      if (r == run && i == index) at_pivot = v[r][i];
  at_pivot = __shfl_sync(mask, at_pivot, owner, kLanes);
  const float first = __shfl_sync(mask, v[0][0], 0, kLanes);
#pragma unroll
  for (int r = 0; r < Lanes<tile>::kRuns; ++r)
#pragma unroll
    for (int i = 0; i < 8; ++i)
      if (lane == owner && r == run && i == index) v[r][i] = first;
  if (lane == 0) v[0][0] = at_pivot;
}

/// The butterflies of widths 1, 2 and 4.
__device__ inline void hadamard_eight(float (&v)[8]) {
#pragma unroll
  for (int width = 1; width < 8; width *= 2)
#pragma unroll
    for (int i = 0; i < 8; ++i)
      if ((i & width) == 0) {
        const float a = v[i], b = v[i + width];
        v[i] = a + b, v[i + width] = a - b;
      }
}

/// A butterfly of numbers in lanes that are `offset` apart.
__device__ inline void hadamard_across(float (&v)[8], int lane, int offset, unsigned mask) {
  const bool is_upper = lane & offset;
#pragma unroll
  for (float& value : v) {
    const float other = __shfl_xor_sync(mask, value, offset);
    value = is_upper ? other - value : other + value;
  }
}

/// v H_n / sqrt(n), in the order of the host's butterflies: widths from 1 up.
template <int tile>
__device__ void hadamard(Runs<tile>& v, int lane, float scale, unsigned mask) {
#pragma unroll
  for (auto& run : v) hadamard_eight(run);
  join_lanes<Lanes<tile>::kCount>([&](int offset) {
#pragma unroll
    for (auto& run : v) hadamard_across(run, lane, offset, mask);
  });
  if constexpr (Lanes<tile>::kRuns == 2) {
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const float a = v[0][i], b = v[1][i];
      v[0][i] = a + b, v[1][i] = a - b;
    }
  }
#pragma unroll
  for (auto& run : v)
#pragma unroll
    for (float& value : run) value = __fmul_rn(value, scale);
}

/// A 16-bit zero point or scale.
struct Stored {
  uint16_t bits;
  float value;
};

__device__ inline float half_value(uint16_t bits) { return __half2float(__ushort_as_half(bits)); }

__device__ inline Stored stored_half(float value, int direction) {
  constexpr unsigned kSign = 0x8000;
  unsigned bits = __half_as_ushort(__float2half_rn(value));
  const float near = half_value(static_cast<uint16_t>(bits));
  const bool is_off = direction < 0 ? near > value : direction > 0 && near < value;
  if (is_off && (bits & ~kSign) == 0) {
    bits = direction > 0 ? 1 : kSign | 1;
  } else if (is_off) {
    bits += ((bits & kSign) != 0) == (direction > 0) ? -1 : 1;
  }
  const auto result = static_cast<uint16_t>(bits);
  return {result, half_value(result)};
}

__device__ inline Stored stored_bfloat16(float value, int direction) {
  const unsigned wide = __float_as_uint(value);
  unsigned bits = wide >> 16;
  if (direction == 0)
    bits = (wide + 0x7fffU + (bits & 1)) >> 16;
  else if ((wide & 0xffffU) != 0 && (value < 0) == (direction < 0))
    ++bits;  // away from zero
  return {static_cast<uint16_t>(bits), __uint_as_float(bits << 16)};
}

/// Nearest (0), not above (-1) or not below (1) `value`; saturating. NaN stays NaN.
__device__ inline Stored stored(float value, int direction, bool is_half) {
  if (value != value) return {static_cast<uint16_t>(is_half ? 0x7e00 : 0x7fc0), value};
  const float largest =
      is_half ? boundary::Largest<__half>::kValue : boundary::Largest<__nv_bfloat16>::kValue;
  const float cut = fminf(fmaxf(value, -largest), largest);
  return is_half ? stored_half(cut, direction) : stored_bfloat16(cut, direction);
}

/// Value of a stored number at a place that need not be even.
__device__ inline float stored_value(const uint8_t* from, bool is_half) {
  const unsigned bits = (reinterpret_cast<uintptr_t>(from) & 1) == 0
                            ? *reinterpret_cast<const uint16_t*>(from)
                            : from[0] | from[1] << 8;
  return is_half ? half_value(static_cast<uint16_t>(bits)) : __uint_as_float(bits << 16);
}

/// Zero point and scale on the wire, and as the codes see them.
struct Grid {
  Stored stored_zero, stored_scale;
  float zero, scale;
  bool is_cut;  // one of them is beyond what is stored, or NaN: codes need clipping

  /// (most - zero) / levels, as IEEE division rounds it.
  __device__ static float step(float range, int bits) {
    boundary::Divider by;
    by.divisor = static_cast<float>((1 << bits) - 1);
    // 1 / 15 for the usual four bits, without a division.
    by.inverse = bits == 4 ? 1.0F / 15.0F : bits == 3 ? 1.0F / 7.0F : __frcp_rn(by.divisor);
    return range > 1e-27F ? by.moderate(range) : by.any(range);
  }

  __device__ Grid(const Plan& plan, float least, float most, int bits) {
    if (plan.fits_stored)
      fit(plan, least, most, bits);
    else
      fit_unrounded(plan, least, most, bits);
  }
  struct Fitting {};
  /// Where it is known that the plan says so.
  __device__ Grid(const Plan& plan, float least, float most, int bits, Fitting) {
    fit(plan, least, most, bits);
  }

 private:
  __device__ void fit(const Plan& plan, float least, float most, int bits) {
    stored_zero = stored(least, -1, plan.is_half);
    zero = stored_zero.value;
    stored_scale = stored(step(__fsub_rn(most, zero), bits), 1, plan.is_half);
    scale = stored_scale.value;
    find_limits(plan);
  }
  __device__ void fit_unrounded(const Plan& plan, float least, float most, int bits) {
    zero = least;
    scale = step(__fsub_rn(most, zero), bits);
    if (scale < 1e-30F) scale = 1e-30F;
    stored_zero = stored(zero, 0, plan.is_half);
    stored_scale = stored(scale, 0, plan.is_half);
    find_limits(plan);
  }
  __device__ void find_limits(const Plan& plan) {
    const float limit = plan.is_half ? 65000.0F : 3e38F;
    is_cut = !(fabsf(zero) < limit && scale < limit);
  }
};

}  // namespace qtk::tah
