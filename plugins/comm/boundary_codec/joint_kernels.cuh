// Scales and codes in one launch, which reads a tensor once: where the elements that share a scale
// fit in the registers of a cluster of blocks or of a warp.
#pragma once

#include "code_octets.cuh"
#include "scale_kernels.cuh"

#include <cooperative_groups.h>

namespace qtk::boundary {

constexpr int kThreads = 256;  // of a block

constexpr int kClusterBlocks = 8;

constexpr int kSliceEights = 8;  // 64 channels: fewer leave in pieces too small
constexpr int kSliceLanes = kThreads / kSliceEights;  // tokens that a block has at once

/// A cluster of blocks has the channels of a slice in all tokens of a group, a block an eighth of
/// the tokens. Numbers stay in registers between the scales and the codes. `most_rows`: tokens of a
/// thread.
template <class Statistic, class T, int most_rows>
__global__ void __cluster_dims__(kClusterBlocks, 1, 1) __launch_bounds__(kThreads)
    cluster_kernel(const __grid_constant__ CodeForm form, const T* x, uint8_t* scales,
                   uint8_t* codes) {
  using Sum = typename Statistic::Type;
  constexpr int kEights = kSliceEights, kRows = most_rows, kChannels = 8 * kEights,
                kWarps = kThreads / 32;
  __shared__ Sum sums[kWarps][kChannels];
  __shared__ Sum block_sums[kChannels];
  __shared__ float slice_scales[kChannels];
  const auto cluster = cooperative_groups::this_cluster();
  const auto thread = static_cast<int>(threadIdx.x);
  const int eight = thread % kEights, lane = thread / kEights;
  const int columns = form.channels / 8,
            first_eight = static_cast<int>(blockIdx.x) / kClusterBlocks * kEights;
  const int64_t part = (form.tokens_per_scale + kClusterBlocks - 1) / kClusterBlocks;
  const int64_t begin = cluster.block_rank() * part, end = min(begin + part, form.tokens_per_scale);
  const bool has_channels = first_eight + eight < columns;
  const int rows =
      has_channels
          ? static_cast<int>(max(end - begin - lane, int64_t{0}) + kSliceLanes - 1) / kSliceLanes
          : 0;
  const int64_t first = (blockIdx.y * form.tokens_per_scale + begin + lane) * columns +
                        first_eight + eight,
                step = static_cast<int64_t>(kSliceLanes) * columns;
  wait_for_earlier_work();
  Raw<T> raw[kRows];
#pragma unroll
  for (int k = 0; k < kRows; ++k)
    k < rows ? raw[k].load(x + (first + k * step) * 8) : raw[k].clear();
  ColumnSums<Statistic, T, 8> own;
#pragma unroll
  for (int k = 0; k < kRows; ++k) own.add(raw[k]);
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const Sum joined = join_lanes<Statistic>(own.get(i), kEights);
    if (thread % 32 < kEights) sums[thread / 32][eight * 8 + i] = joined;
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
  Octet scale;
#pragma unroll
  for (int i = 0; i < 8; ++i) scale[i] = slice_scales[eight * 8 + i];
  with_channel_coder<T>(form, scale, [&](const auto& code) {
#pragma unroll
    for (int k = 0; k < kRows; ++k) {
      if (k >= rows) break;
      Octet v;
      raw[k].get(v);
      write_codes(codes + (first + k * step) * form.width, code(v), form.width);
    }
  });
}

/// @returns whether all tokens of a group fit in a cluster
template <int most_rows, class Statistic, class T>
bool launch_slices(const CodeForm& form, const T* x, uint8_t* scales, uint8_t* codes,
                   cudaStream_t stream) {
  constexpr int64_t kMostTokens = int64_t{kClusterBlocks} * kSliceLanes * most_rows;
  if (!form.is_per_channel || form.channels % 8 != 0 || form.tokens_per_scale > kMostTokens)
    return false;
  const dim3 blocks(blocks_for(form.channels, 8 * kSliceEights) * kClusterBlocks,
                    static_cast<unsigned>(form.tokens / form.tokens_per_scale));
  launch_early("fixpoint cluster_kernel", {blocks, dim3(kThreads), 0, stream},
               cluster_kernel<Statistic, T, most_rows>, form, x, scales, codes);
  return true;
}

template <class Statistic, class T>
bool launch_cluster(const CodeForm& form, const T* x, uint8_t* scales, uint8_t* codes,
                    cudaStream_t stream) {
  return launch_slices<4, Statistic>(form, x, scales, codes, stream) ||
         launch_slices<8, Statistic>(form, x, scales, codes, stream);
}

constexpr int kHeldEights = 8;  // of a thread

/// A warp has a token, whose channels share a scale, in its registers.
template <class Statistic, class T>
__global__ void __launch_bounds__(kThreads)
    token_code_kernel(const __grid_constant__ CodeForm form, const T* x, uint8_t* scales,
                      uint8_t* codes) {
  const int64_t token = (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32, columns = form.channels / 8;
  wait_for_earlier_work();
  if (token >= form.tokens) return;
  Raw<T> raw[kHeldEights];
#pragma unroll
  for (int k = 0; k < kHeldEights; ++k) {
    const int eight = lane + 32 * k;
    eight < columns ? raw[k].load(x + (token * columns + eight) * 8) : raw[k].clear();
  }
  ColumnSums<Statistic, T, 8> sums;
#pragma unroll
  for (int k = 0; k < kHeldEights; ++k) sums.add(raw[k]);
  typename Statistic::Type sum = sums.get(0);
#pragma unroll
  for (int i = 1; i < 8; ++i) Statistic::join(sum, sums.get(i));
  const float own_scale = Statistic::scale(join_lanes<Statistic>(sum), form.channels),
              scale = stored_scale(form.scale_type, own_scale);
  if (lane == 0) write_scale(scales, form.scale_type, token, own_scale);
  uint8_t* to = codes + (token * columns + lane) * form.width;
  const auto write_all = [&](const auto& code) {
#pragma unroll
    for (int k = 0; k < kHeldEights; ++k) {
      if (lane + 32 * k >= columns) break;
      Octet v;
      raw[k].get(v);
      write_codes(to + 32 * k * form.width, code(v), form.width);
    }
  };
  if (sizeof(T) == 2 && form.bits > 1 && is_short(scale)) {
    const ShortCoder coder(form.bits, form.width);
    write_all([&, inverse = coder.inverse(scale)](Octet& v) {
#pragma unroll
      for (float& value : v) value = coder.place(value, inverse);
      return coder.pack(v);
    });
  } else {
    const AnyCoder any(form.bits, form.width);
    write_all([&, by = any.coder.divider(scale)](Octet& v) {
      any.coder.code(v, by);
      return any.pack(v);
    });
  }
}

template <class Statistic, class T>
bool launch_tokens(const CodeForm& form, const T* x, uint8_t* scales, uint8_t* codes,
                   cudaStream_t stream) {
  if (form.is_per_channel || form.tokens_per_scale != 1 || form.channels % 8 != 0 ||
      form.channels > 256 * kHeldEights)
    return false;
  launch_early("fixpoint token_code_kernel",
               {dim3(blocks_for(form.tokens, kThreads / 32)), dim3(kThreads), 0, stream},
               token_code_kernel<Statistic, T>, form, x, scales, codes);
  return true;
}

}  // namespace qtk::boundary
