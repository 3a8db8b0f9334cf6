// Kernels that find the scales: partial results of many blocks, joined by a second launch; a
// token's scale by one warp.
#pragma once

#include "early_launch.cuh"
#include "scale_memory.cuh"

#include <algorithm>

namespace qtk::boundary {

/// `width` neighbouring numbers: eight with 16-byte loads, or one.
template <class T, int width>
__device__ void load_numbers(const T* from, float (&v)[width]) {
  if constexpr (width == 8) {
    Raw<T> raw;
    raw.load(from);
    raw.get(v);
  } else {
    v[0] = widen(from[0]);
  }
}

/// What a thread finds of `width` neighbouring columns.
template <class Statistic, class T, int width>
struct ColumnSums {
  typename Statistic::Type sum[width] = {};

  __device__ void add(const T* from) {
    float v[width];
    load_numbers(from, v);
    add(v);
  }
  __device__ void add(const Raw<T>& raw) {
    Octet v;
    raw.get(v);
    add(v);
  }
  __device__ typename Statistic::Type get(int i) const { return sum[i]; }

 private:
  __device__ void add(const float (&v)[width]) {
#pragma unroll
    for (int i = 0; i < width; ++i) Statistic::add(sum[i], v[i]);
  }
};

/// Largest magnitudes of 16-bit numbers, two at a time: as unsigned numbers they have the order of
/// their values.
template <class T>
struct PairMagnitudes {
  unsigned most[4] = {};

  __device__ void add(const T* from) {
    Raw<T> raw;
    raw.load(from);
    add(raw);
  }
  __device__ void add(const Raw<T>& raw) {
    const unsigned words[4] = {raw.at.x, raw.at.y, raw.at.z, raw.at.w};
#pragma unroll
    for (int i = 0; i < 4; ++i) most[i] = __vmaxu2(most[i], words[i] & 0x7fff7fffU);
  }
  __device__ unsigned get(int i) const {
    const auto bits = static_cast<uint16_t>(most[i / 2] >> (16 * (i % 2)));
    return __float_as_uint(widen(*reinterpret_cast<const T*>(&bits))) & 0x7fffffffU;
  }
};
template <>
struct ColumnSums<LargestMagnitude, __nv_bfloat16, 8> : PairMagnitudes<__nv_bfloat16> {};
template <>
struct ColumnSums<LargestMagnitude, __half, 8> : PairMagnitudes<__half> {};

constexpr int kColumnLanes = 32, kRowLanes = 8;

/// Block (x, y, z): columns 32 width x on, part y of the rows of group z.
template <class Statistic, class T, int width>
__global__ void __launch_bounds__(kColumnLanes* kRowLanes)
    column_part_kernel(const __grid_constant__ CodeForm form, const T* x,
                       typename Statistic::Type* partial) {
  using Sum = typename Statistic::Type;
  __shared__ Sum shared[kRowLanes][kColumnLanes * width];
  const int column = static_cast<int>(blockIdx.x * kColumnLanes + threadIdx.x) * width;
  const int64_t rows = form.tokens_per_scale, part = (rows + gridDim.y - 1) / gridDim.y;
  const int64_t begin = blockIdx.y * part, end = min(begin + part, rows);
  const T* group = x + blockIdx.z * rows * form.channels;
  ColumnSums<Statistic, T, width> sums;
  wait_for_earlier_work();
  if (column < form.channels) {
#pragma unroll 8
    for (int64_t row = begin + threadIdx.y; row < end; row += kRowLanes)
      sums.add(group + row * form.channels + column);
  }
#pragma unroll
  for (int i = 0; i < width; ++i) shared[threadIdx.y][threadIdx.x * width + i] = sums.get(i);
  __syncthreads();
  const auto thread = static_cast<int>(threadIdx.y * kColumnLanes + threadIdx.x);
  const int first = static_cast<int>(blockIdx.x) * kColumnLanes * width;
  for (int i = thread; i < kColumnLanes * width && first + i < form.channels;
       i += kColumnLanes * kRowLanes) {
    Sum total = shared[0][i];
    for (int lane = 1; lane < kRowLanes; ++lane) Statistic::join(total, shared[lane][i]);
    partial[(static_cast<int64_t>(blockIdx.z) * gridDim.y + blockIdx.y) * form.channels + first +
            i] = total;
  }
}

/// Sums over a whole tensor: one for each block.
template <class Statistic, class T, int width>
__global__ void __launch_bounds__(256)
    tensor_part_kernel(int64_t elements, const T* x, typename Statistic::Type* partial) {
  using Sum = typename Statistic::Type;
  __shared__ Sum shared[8];
  Sum sum = {};
  wait_for_earlier_work();
#pragma unroll 4
  for (int64_t i = (static_cast<int64_t>(blockIdx.x) * 256 + threadIdx.x) * width; i < elements;
       i += static_cast<int64_t>(gridDim.x) * 256 * width) {
    float v[width];
    load_numbers(x + i, v);
#pragma unroll
    for (int k = 0; k < width; ++k) Statistic::add(sum, v[k]);
  }
  sum = join_lanes<Statistic>(sum);
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = sum;
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (int warp = 1; warp < 8; ++warp) Statistic::join(sum, shared[warp]);
  partial[blockIdx.x] = sum;
}

/// Lanes that join the partial results of a column.
constexpr int kPartLanes = 16;

/// Joins `parts` partial results of every column and writes the scales. Block (x, z): columns 32 x
/// on of group z.
template <class Statistic>
__global__ void __launch_bounds__(32 * kPartLanes)
    finish_kernel(const __grid_constant__ CodeForm form, int columns, int parts,
                  const typename Statistic::Type* partial, uint8_t* scales) {
  using Sum = typename Statistic::Type;
  __shared__ Sum shared[kPartLanes][32];
  const auto column = static_cast<int>(blockIdx.x * 32 + threadIdx.x);
  Sum sum = {};
  wait_for_earlier_work();
  if (column < columns) {
#pragma unroll 8
    for (int part = static_cast<int>(threadIdx.y); part < parts; part += kPartLanes)
      Statistic::join(
          sum, partial[(static_cast<int64_t>(blockIdx.z) * parts + part) * columns + column]);
  }
  shared[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y != 0 || column >= columns) return;
#pragma unroll
  for (int lane = 1; lane < kPartLanes; ++lane) Statistic::join(sum, shared[lane][threadIdx.x]);
  const int64_t count = form.tokens_per_scale * (form.is_per_channel ? 1 : form.channels);
  write_scale(scales, form.scale_type, static_cast<int64_t>(blockIdx.z) * columns + column,
              Statistic::scale(sum, count));
}

/// One warp for each token.
template <class Statistic, class T, int width>
__global__ void __launch_bounds__(256)
    token_scale_kernel(const __grid_constant__ CodeForm form, const T* x, uint8_t* scales) {
  const int64_t token = (static_cast<int64_t>(blockIdx.x) * 256 + threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  wait_for_earlier_work();
  if (token >= form.tokens) return;
  typename Statistic::Type sum = {};
#pragma unroll 4
  for (int i = lane * width; i < form.channels; i += 32 * width) {
    float v[width];
    load_numbers(x + token * form.channels + i, v);
#pragma unroll
    for (int k = 0; k < width; ++k) Statistic::add(sum, v[k]);
  }
  sum = join_lanes<Statistic>(sum);
  if (lane == 0) write_scale(scales, form.scale_type, token, Statistic::scale(sum, form.channels));
}

// ---- launches --------------------------------------------------------------------------------

constexpr int64_t kBusyBlocks = 1056;  // eight for each multiprocessor of an H100

inline unsigned blocks_for(int64_t count, int64_t per_block) {
  return static_cast<unsigned>((count + per_block - 1) / per_block);
}

/// Partial results that are made of every scale.
inline int parts_of(const CodeForm& form) {
  if (!form.is_per_channel) return form.tokens_per_scale == 1 ? 0 : kBusyBlocks / 2;
  const int64_t others =
      blocks_for(form.channels, int64_t{kColumnLanes} * 8) * (form.tokens / form.tokens_per_scale);
  const int64_t most = (form.tokens_per_scale + kRowLanes - 1) / kRowLanes;
  return static_cast<int>(std::clamp<int64_t>(kBusyBlocks / others, 1, most));
}

template <class Statistic, class T, int width>
void launch_statistic(const CodeForm& form, const T* x, void* scratch, uint8_t* scales,
                      cudaStream_t stream) {
  auto* partial = static_cast<typename Statistic::Type*>(scratch);
  if (!form.is_per_channel && form.tokens_per_scale == 1) {
    launch_early("fixpoint token_scale_kernel",
                 {dim3(blocks_for(form.tokens, 8)), dim3(256), 0, stream},
                 token_scale_kernel<Statistic, T, width>, form, x, scales);
    return;
  }
  const auto parts = static_cast<unsigned>(parts_of(form));
  const auto groups = static_cast<unsigned>(form.tokens / form.tokens_per_scale);
  const int columns = form.is_per_channel ? form.channels : 1;
  if (form.is_per_channel)
    launch_early("fixpoint column_part_kernel",
                 {dim3(blocks_for(columns, kColumnLanes * width), parts, groups),
                  dim3(kColumnLanes, kRowLanes), 0, stream},
                 column_part_kernel<Statistic, T, width>, form, x, partial);
  else
    launch_early("fixpoint tensor_part_kernel", {dim3(parts), dim3(256), 0, stream},
                 tensor_part_kernel<Statistic, T, width>, form.tokens * form.channels, x, partial);
  launch_early("fixpoint finish_kernel",
               {dim3(blocks_for(columns, 32), 1, groups), dim3(32, kPartLanes), 0, stream},
               finish_kernel<Statistic>, form, columns, static_cast<int>(parts), partial, scales);
}

}  // namespace qtk::boundary
