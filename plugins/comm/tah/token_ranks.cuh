// Allocation by tokens: which tokens of a sample get the low precision, found in two launches
// before the one that encodes.
#pragma once

#include "entropy_sums.cuh"
#include "tile_registers.cuh"

namespace qtk::tah {

/// |x|, cut as the tiles will be.
__device__ float cut_magnitude(float value, float largest) {
  const float magnitude = fabsf(value);
  return magnitude > largest && magnitude < INFINITY ? largest : magnitude;
}

/// One warp for each token, `held` times eight values a thread in registers; 0: the token is read
/// twice.
template <class T, int held>
__global__ void __launch_bounds__(256)
    token_score_kernel(const __grid_constant__ Plan plan, const T* x, unsigned* scores) {
  const int64_t token = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  if (token >= plan.tokens) return;
  const T* row = x + token * plan.channels;
  boundary::Raw<T> raw[held > 0 ? held : 1];
  const auto for_each = [&](const auto& visit) {
    boundary::Octet v;
    if constexpr (held > 0) {
#pragma unroll
      for (int k = 0; k < held; ++k) {
        raw[k].get(v);
#pragma unroll
        for (const float value : v) visit(cut_magnitude(value, plan.largest));
      }
    } else {
      for (int begin = 8 * lane; begin < plan.channels; begin += 256) {
        raw[0].load(row + begin);
        raw[0].get(v);
#pragma unroll
        for (const float value : v) visit(cut_magnitude(value, plan.largest));
      }
    }
  };
  if constexpr (held > 0) {
#pragma unroll
    for (int k = 0; k < held; ++k) {
      const int begin = 8 * (lane + 32 * k);
      begin < plan.channels ? raw[k].load(row + begin) : raw[k].clear();
    }
  }
  float largest = 0;
  for_each([&](float magnitude) { largest = fmaxf(largest, magnitude); });
  largest = lanes_max<32>(largest);
  EntropySums sums;
  const float unit = to_unit(largest);
  for_each([&](float magnitude) { sums.add(magnitude, unit); });
  sums.a = lanes_sum<32>(sums.a), sums.w = lanes_sum<32>(sums.w);
  if (lane == 0) scores[token] = key_of(sums.entropy(largest));
}

/// One warp for each token counts the tokens before it; a block writes one byte of the map.
static __global__ void __launch_bounds__(256)
    token_rank_kernel(const __grid_constant__ Plan plan, const unsigned* scores, uint8_t* map) {
  __shared__ unsigned is_low[kTokens];
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int64_t token = static_cast<int64_t>(blockIdx.x) * kTokens + warp;
  int rank = plan.row_tokens;
  if (token < plan.tokens) {
    const int64_t begin = token / plan.row_tokens * plan.row_tokens;
    const auto self = static_cast<int>(token - begin);
    const unsigned mine = scores[token];
    const auto is_before = [&](unsigned key, int other) {
      return key < mine + (other < self ? 1U : 0U) ? 1 : 0;
    };
    const unsigned* row = scores + begin;
    rank = 0;
    if (plan.row_tokens % 4 == 0) {
#pragma unroll 8
      for (int other = 4 * lane; other < plan.row_tokens; other += 128) {
        const uint4 four = __ldg(reinterpret_cast<const uint4*>(row + other));
        rank += is_before(four.x, other) + is_before(four.y, other + 1) +
                is_before(four.z, other + 2) + is_before(four.w, other + 3);
      }
    } else {
#pragma unroll 8
      for (int other = lane; other < plan.row_tokens; other += 32)
        rank += is_before(__ldg(row + other), other);
    }
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
  constexpr int kHeld = 8;
  const auto kernel =
      plan.channels <= 256 * kHeld ? token_score_kernel<T, kHeld> : token_score_kernel<T, 0>;
  cuda::launch("tah token_score_kernel", {dim3(blocks), dim3(kThreads), 0, stream}, kernel, plan, x,
               scores);
  cuda::launch("tah token_rank_kernel", {dim3(blocks), dim3(kThreads), 0, stream},
               token_rank_kernel, plan, scores, map);
}

}  // namespace qtk::tah
