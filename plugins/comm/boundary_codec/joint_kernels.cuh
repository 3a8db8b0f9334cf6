// Scales and codes in one launch, where the elements that share a scale fit in a cluster of blocks
// or in a warp.
#pragma once

#include "scale_kernels.cuh"

#include <qtk/cuda/launch.hpp>

#include <cooperative_groups.h>

namespace qtk::boundary {

constexpr int kThreads = 256;         // of a block
constexpr int kWarpBytes = 256 + 16;  // of 32 times eight codes, wherever they begin

constexpr int kClusterBlocks = 8;
constexpr int kSliceEights = 8;                       // 64 channels: at least 128 bytes of a token
constexpr int kSliceLanes = kThreads / kSliceEights;  // tokens that a block has at once
constexpr int kFewSliceRows = 1024 / (kClusterBlocks * kSliceLanes);
constexpr int kManySliceRows = 2 * kFewSliceRows;

/// A cluster of blocks has the channels of a slice in all tokens of a group, and so all that share
/// their scales; a block has an eighth of the tokens. `rows`: tokens of a thread.
template <class Statistic, class T, int rows>
__global__ void __cluster_dims__(kClusterBlocks, 1, 1) __launch_bounds__(kThreads)
    cluster_kernel(const __grid_constant__ CodeForm form, const T* x, uint8_t* scales,
                   uint8_t* codes) {
  using Sum = typename Statistic::Type;
  constexpr int kChannels = 8 * kSliceEights, kWarps = kThreads / 32;
  constexpr int kRowBytes = 8 * kSliceEights + 16;  // codes of a token, wherever they begin
  __shared__ Sum sums[kWarps][kChannels];
  __shared__ Sum block_sums[kChannels];
  __shared__ float slice_scales[kChannels];
  __shared__ __align__(16) uint8_t drafts[kThreads / kSliceEights][kRowBytes];
  const auto cluster = cooperative_groups::this_cluster();
  const auto thread = static_cast<int>(threadIdx.x);
  const int eight = thread % kSliceEights, lane = thread / kSliceEights;
  const int columns = form.channels / 8,
            first_eight = static_cast<int>(blockIdx.x) / kClusterBlocks * kSliceEights;
  const int64_t part = (form.tokens_per_scale + kClusterBlocks - 1) / kClusterBlocks;
  const int64_t begin = cluster.block_rank() * part, end = min(begin + part, form.tokens_per_scale),
                first_token = blockIdx.y * form.tokens_per_scale;
  const bool has_channels = first_eight + eight < columns;
  Raw<T> raw[rows];
#pragma unroll
  for (int k = 0; k < rows; ++k) {
    const int64_t row = begin + lane + k * kSliceLanes;
    if (has_channels && row < end)
      raw[k].load(x + ((first_token + row) * columns + first_eight + eight) * 8);
    else
      raw[k].clear();
  }
  Sum sum[8] = {};
#pragma unroll
  for (int k = 0; k < rows; ++k) {
    Octet v;
    raw[k].get(v);
#pragma unroll
    for (int i = 0; i < 8; ++i) Statistic::add(sum[i], v[i]);
  }
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const Sum joined = join_lanes<Statistic>(sum[i], kSliceEights);
    if (thread % 32 < kSliceEights) sums[thread / 32][eight * 8 + i] = joined;
  }
  __syncthreads();
  if (thread < kChannels) {
    Sum total = sums[0][thread];
#pragma unroll
    for (int warp = 1; warp < kWarps; ++warp) Statistic::join(total, sums[warp][thread]);
    block_sums[thread] = total;
  }
  cluster.sync();
  if (thread < kChannels) {
    Sum total = *cluster.map_shared_rank(&block_sums[thread], 0);
#pragma unroll
    for (int block = 1; block < kClusterBlocks; ++block)
      Statistic::join(total, *cluster.map_shared_rank(&block_sums[thread], block));
    const float scale = Statistic::scale(total, form.tokens_per_scale);
    const int channel = first_eight * 8 + thread;
    slice_scales[thread] = stored_scale(form.scale_type, scale);
    if (cluster.block_rank() == 0 && channel < form.channels)
      write_scale(scales, form.scale_type,
                  static_cast<int64_t>(blockIdx.y) * form.channels + channel, scale);
  }
  cluster.sync();  // nobody leaves while its sums are read
  const Coder coder(form.bits);
  const Packer packer = coder.packer(form.width);
  Divider by[8];
  bool is_extreme = false;
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    by[i] = coder.divider(slice_scales[eight * 8 + i]);
    is_extreme = is_extreme || by[i].is_extreme;
  }
  const int valid = min(kSliceEights, columns - first_eight);
#pragma unroll
  for (int k = 0; k < rows; ++k) {
    const int64_t row = begin + lane + k * kSliceLanes;
    uint8_t* to = codes + ((first_token + row) * columns + first_eight) * form.width;
    uint8_t* draft = matched(drafts[lane], to);
    if (row < end) {
      Octet v;
      raw[k].get(v);
      coder.code(v, by, is_extreme);
      put_bytes(draft + eight * form.width, packer.pack(v), form.width);
    }
    __syncwarp();
    if (row < end) copy_bytes(to, draft, valid * form.width, eight, kSliceEights);
    __syncwarp();
  }
}

template <class Statistic, class T>
bool launch_cluster(const CodeForm& form, const T* x, uint8_t* scales, uint8_t* codes,
                    cudaStream_t stream) {
  constexpr int64_t kAtOnce = int64_t{kClusterBlocks} * kSliceLanes;
  if (!form.is_per_channel || form.channels % 8 != 0 ||
      form.tokens_per_scale > kManySliceRows * kAtOnce)
    return false;
  const dim3 blocks(blocks_for(form.channels, 8 * kSliceEights) * kClusterBlocks,
                    static_cast<unsigned>(form.tokens / form.tokens_per_scale));
  const auto kernel = form.tokens_per_scale <= kFewSliceRows * kAtOnce
                          ? cluster_kernel<Statistic, T, kFewSliceRows>
                          : cluster_kernel<Statistic, T, kManySliceRows>;
  cuda::launch("fixpoint cluster_kernel", {blocks, dim3(kThreads), 0, stream}, kernel, form, x,
               scales, codes);
  return true;
}

constexpr int kHeldEights = 8;  // of a thread

/// A warp has a token, whose channels share a scale, in its registers.
template <class Statistic, class T>
__global__ void __launch_bounds__(kThreads)
    token_code_kernel(const __grid_constant__ CodeForm form, const T* x, uint8_t* scales,
                      uint8_t* codes) {
  __shared__ __align__(16) uint8_t shared[kThreads / 32][kWarpBytes];
  const int64_t token = (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32, columns = form.channels / 8;
  if (token >= form.tokens) return;
  Raw<T> raw[kHeldEights];
#pragma unroll
  for (int k = 0; k < kHeldEights; ++k) {
    const int eight = lane + 32 * k;
    eight < columns ? raw[k].load(x + (token * columns + eight) * 8) : raw[k].clear();
  }
  typename Statistic::Type sum = {};
#pragma unroll
  for (int k = 0; k < kHeldEights; ++k) {
    Octet v;
    raw[k].get(v);
#pragma unroll
    for (const float value : v) Statistic::add(sum, value);
  }
  const float scale = Statistic::scale(join_lanes<Statistic>(sum), form.channels);
  if (lane == 0) write_scale(scales, form.scale_type, token, scale);
  const Coder coder(form.bits);
  const Packer packer = coder.packer(form.width);
  const Divider by = coder.divider(stored_scale(form.scale_type, scale));
#pragma unroll
  for (int k = 0; k < kHeldEights; ++k) {
    const int valid = min(32, columns - 32 * k);
    if (valid <= 0) break;
    Octet v;
    raw[k].get(v);
    coder.code(v, by);
    uint8_t* to = codes + (token * columns + 32 * k) * form.width;
    uint8_t* draft = matched(shared[threadIdx.x / 32], to);
    put_bytes(draft + lane * form.width, packer.pack(v), form.width);
    __syncwarp();
    copy_bytes(to, draft, valid * form.width, lane, 32);
    __syncwarp();
  }
}

template <class Statistic, class T>
bool launch_tokens(const CodeForm& form, const T* x, uint8_t* scales, uint8_t* codes,
                   cudaStream_t stream) {
  if (form.is_per_channel || form.tokens_per_scale != 1 || form.channels % 8 != 0 ||
      form.channels > 256 * kHeldEights)
    return false;
  cuda::launch("fixpoint token_code_kernel",
               {dim3(blocks_for(form.tokens, kThreads / 32)), dim3(kThreads), 0, stream},
               token_code_kernel<Statistic, T>, form, x, scales, codes);
  return true;
}

}  // namespace qtk::boundary
