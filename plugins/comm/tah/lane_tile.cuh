// A tile of 64 elements in the registers of one thread. Arithmetic and order of operations are
// those of tile_registers.cuh.
#pragma once

#include "lane_kernels.hpp"
#include "tile_registers.cuh"

#include <boundary_codec/early_launch.cuh>

namespace qtk::tah {

using boundary::launch_early;
using boundary::wait_for_earlier_work;

constexpr int kLaneTile = 64;
constexpr int kLaneThreads = 32 * kTokens;  // of a block: a warp for each token of a group of eight

constexpr int kBlocksEach = 2;  // of a multiprocessor

/// Sixteen-byte vectors of a tile in shared memory; one more apart, so that the lanes of a warp
/// meet different banks.
template <class T>
struct Staged {
  static constexpr int kVectors = kLaneTile * static_cast<int>(sizeof(T)) / 16,
                       kStride = kVectors + 1;
  static constexpr int kElements = 16 / static_cast<int>(sizeof(T));  // of a vector

  /// Calls visit(vector of the token in memory, its place in shared memory); a lane's share.
  template <class Visit>
  __device__ static void for_each(int tiles, const Visit& visit) {
    const int lane = static_cast<int>(threadIdx.x % 32), count = tiles * kVectors;
    constexpr int kMost = kVectors;  // times 32: vectors of 32 tiles
    const int place = lane / kVectors * kStride + lane % kVectors;
#pragma unroll
    for (int i = 0; i < kMost; ++i)
      if (lane + 32 * i < count) visit(lane + 32 * i, place + i * (32 / kVectors * kStride));
  }
};

/// Lanes of low precision before this one.
__device__ inline int low_lanes_before(unsigned low) {
  return __popc(low & ((1U << (threadIdx.x % 32)) - 1));
}

/// Swaps v[0] and v[pivot].
__device__ inline void swap_with_first(float (&v)[kLaneTile], int pivot) {
  float at_pivot = v[0];
#pragma unroll
  for (int i = 1; i < kLaneTile; ++i)
    if (i == pivot) at_pivot = v[i], v[i] = v[0];
  v[0] = at_pivot;
}

__device__ inline void hadamard(float (&v)[kLaneTile], float scale) {
#pragma unroll
  for (int width = 1; width < kLaneTile; width *= 2)
#pragma unroll
    for (int i = 0; i < kLaneTile; ++i)
      if ((i & width) == 0) {
        const float a = v[i], b = v[i + width];
        v[i] = a + b, v[i + width] = a - b;
      }
#pragma unroll
  for (float& value : v) value = __fmul_rn(value, scale);
}

/// Blocks that are all in flight, each with one group of eight tokens after the other.
template <class Kernel>
unsigned lane_blocks(const Plan& plan, Kernel kernel, int shared_bytes) {
  int device = 0, processors = 0, blocks = 0;
  QTK_CUDA_CHECK(cudaGetDevice(&device));
  QTK_CUDA_CHECK(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device));
  QTK_CUDA_CHECK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, kLaneThreads,
                                                               static_cast<size_t>(shared_bytes)));
  const int64_t groups = (plan.tokens + kTokens - 1) / kTokens;
  return static_cast<unsigned>(std::min<int64_t>(groups, int64_t{processors} * blocks));
}

}  // namespace qtk::tah
