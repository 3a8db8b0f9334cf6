// Codes from values and values from codes. A thread keeps the scales of its channels for several
// tokens; a warp's codes go through shared memory, so that they cross the bus 16 bytes at a time.
#include "fixpoint_kernels.hpp"
#include "joint_kernels.cuh"
#include "scale_kernels.cuh"

#include <qtk/cuda/launch.hpp>

#include <type_traits>

namespace qtk::boundary {
namespace {

constexpr int kValueRows = 4;  // tokens of a thread that decodes
template <class T>
constexpr int kCodeRows = sizeof(T) == 2 ? 8 : 4;  // and of one that encodes

/// Which eights of neighbouring numbers a thread has: one channel range, `rows` tokens, `step`
/// eights apart.
template <int most_rows>
struct Eights {
  int64_t first, step;
  int lane, valid;  // lanes of the warp that have any
  int channel;
  int64_t token;  // of the first
  int64_t group;
  int rows;

  /// Blocks (x, y): numbers of group y.
  __device__ Eights(const CodeForm& form, int64_t group_tokens, unsigned block) {
    const int columns = form.channels / 8;
    const int64_t rows_apart = (group_tokens + most_rows - 1) / most_rows,
                  count = rows_apart * columns;
    const int64_t at = static_cast<int64_t>(block) * kThreads + threadIdx.x;
    lane = static_cast<int>(threadIdx.x) % 32;
    valid = static_cast<int>(max(int64_t{0}, min(int64_t{32}, count - (at - lane))));
    group = blockIdx.y;
    step = count;
    first = group * group_tokens * columns + at;
    const int64_t row = count < int64_t{1} << 31
                            ? static_cast<unsigned>(at) / static_cast<unsigned>(columns)
                            : at / columns;
    channel = static_cast<int>(at - row * columns) * 8;
    token = group * group_tokens + row;
    rows = 0;
    for (int k = 0; k < most_rows; ++k)
      if (row + k * rows_apart < group_tokens) rows = k + 1;
    if (at >= count) rows = 0;
  }
  /// Lanes of the warp that have a k-th token: the first ones.
  __device__ int valid_in(int k) const { return __popc(__ballot_sync(kAllLanes, k < rows)); }
};

int64_t group_tokens_of(const CodeForm& form) {
  return form.is_per_channel ? form.tokens_per_scale : form.tokens;
}

/// Index of the scale of a token, where channels share it.
__device__ int64_t shared_scale(const CodeForm& form, int64_t token) {
  return form.tokens_per_scale == 1 ? token : token / form.tokens_per_scale;
}

/// A warp's codes of eight numbers a lane, through shared memory.
struct CodeDraft {
  uint8_t* shared;  // kWarpBytes of the warp

  __device__ void write(uint8_t* to, uint64_t stream, int width, int lane, int valid) const {
    uint8_t* draft = matched(shared, to);
    put_bytes(draft + lane * width, stream, width);
    __syncwarp();
    copy_bytes(to, draft, valid * width, lane, 32);
    __syncwarp();
  }
};

/// `is_bytes`: codes take eight bits, so that a thread writes its own.
template <class T, bool is_bytes>
__global__ void __launch_bounds__(kThreads)
    code_kernel(const __grid_constant__ CodeForm form, int64_t group_tokens, const T* x,
                const uint8_t* scales, uint8_t* codes) {
  __shared__ __align__(16) uint8_t shared[kThreads / 32][is_bytes ? 1 : kWarpBytes];
  constexpr int kRows = kCodeRows<T>;
  // From the end on: what was read last for the scales is still in the cache.
  const Eights<kRows> at(form, group_tokens, gridDim.x - 1 - blockIdx.x);
  Raw<T> raw[kRows];
#pragma unroll
  for (int k = 0; k < kRows; ++k)
    k < at.rows ? raw[k].load(x + (at.first + k * at.step) * 8) : raw[k].clear();
  const Coder coder(form.bits);
  const Packer packer = coder.packer(form.width);
  Divider by[8];
  bool is_extreme = false;
  if (form.is_per_channel && at.rows > 0) {
    Octet scale;
    read_scales(scales, form.scale_type, at.group * form.channels + at.channel, scale);
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      by[i] = coder.divider(scale[i]);
      is_extreme = is_extreme || by[i].is_extreme;
    }
  }
  const int64_t rows_apart = at.step / (form.channels / 8);
#pragma unroll
  for (int k = 0; k < kRows; ++k) {
    const int valid = is_bytes ? 0 : at.valid_in(k);
    if (is_bytes ? k >= at.rows : valid == 0) break;
    if (!form.is_per_channel && k < at.rows) {
      const Divider one = coder.divider(
          read_scale(scales, form.scale_type, shared_scale(form, at.token + k * rows_apart)));
#pragma unroll
      for (auto& each : by) each = one;
      is_extreme = one.is_extreme;
    }
    Octet v;
    raw[k].get(v);
    coder.code(v, by, is_extreme);
    if constexpr (is_bytes) {
      reinterpret_cast<uint2*>(codes)[at.first + k * at.step] = pack_bytes(v, coder.half);
    } else {
      CodeDraft{shared[threadIdx.x / 32]}.write(
          codes + (at.first - at.lane + k * at.step) * form.width, packer.pack(v), form.width,
          at.lane, valid);
    }
  }
}

/// Eight values of each lane of a warp. Those of f32 change places in shared memory, so that the
/// lanes write neighbouring vectors.
template <class T>
struct ValueDraft {
  static constexpr int kVectors = sizeof(T) == 4 ? 64 : 1;  // of a warp
  uint4* shared;

  /// @param is_whole  the warp's lanes all come here
  __device__ void write(T* to, Octet& v, bool is_wide, int lane, bool is_whole) const {
    if (sizeof(T) == 2 || !is_whole) return store_cut(to, v, is_wide);
    store(reinterpret_cast<float*>(shared) + 8 * lane, v);
    __syncwarp();
    auto* vectors = reinterpret_cast<uint4*>(to - 8 * lane);
    vectors[lane] = shared[lane], vectors[lane + 32] = shared[lane + 32];
    __syncwarp();
  }
};

/// `is_bytes`: codes take eight bits, so that a thread reads its own.
template <class T, bool is_bytes>
__global__ void __launch_bounds__(kThreads)
    value_kernel(const __grid_constant__ CodeForm form, int64_t group_tokens, const uint8_t* codes,
                 const uint8_t* scales, T* x) {
  __shared__ __align__(16) uint8_t shared[kThreads / 32][kValueRows][is_bytes ? 1 : kWarpBytes];
  const Eights<kValueRows> at(form, group_tokens, blockIdx.x);
  auto& mine = shared[threadIdx.x / 32];
  __shared__ uint4 drafts[kThreads / 32][ValueDraft<T>::kVectors];
  const ValueDraft<T> draft{drafts[threadIdx.x / 32]};
  const int whole_rows = __reduce_min_sync(kAllLanes, at.rows);
  uint2 bytes[kValueRows];
#pragma unroll
  for (int k = 0; k < kValueRows; ++k) {
    if constexpr (is_bytes) {
      if (k < at.rows)
        bytes[k] = __ldg(reinterpret_cast<const uint2*>(codes) + at.first + k * at.step);
    } else {
      const int valid = at.valid_in(k);
      const uint8_t* from = codes + (at.first - at.lane + k * at.step) * form.width;
      copy_bytes(matched(mine[k], from), from, valid * form.width, at.lane, 32);
    }
  }
  __syncwarp();
  const Coder coder(form.bits);
  const float half = coder.half, inverse = coder.inverse;
  const int64_t rows_apart = at.step / (form.channels / 8);
  Octet scale = {};
  if (form.is_per_channel && at.rows > 0)
    read_scales(scales, form.scale_type, at.group * form.channels + at.channel, scale);
  // No value is above its scale.
  const auto exceeds = [](float each) { return !(each <= Largest<T>::kValue); };
  bool is_wide = false;
#pragma unroll
  for (const float each : scale) is_wide = is_wide || exceeds(each);
#pragma unroll
  for (int k = 0; k < kValueRows; ++k) {
    if (k >= at.rows) break;
    if (!form.is_per_channel) {
      const float one =
          read_scale(scales, form.scale_type, shared_scale(form, at.token + k * rows_apart));
#pragma unroll
      for (float& each : scale) each = one;
      is_wide = exceeds(one);
    }
    Octet v;
    if constexpr (is_bytes) {
      unpack_bytes(bytes[k], v);
    } else {
      const uint8_t* from = codes + (at.first - at.lane + k * at.step) * form.width;
      unpack_codes(get_bytes(matched(mine[k], from) + at.lane * form.width, form.width), form.width,
                   v);
    }
#pragma unroll
    for (int i = 0; i < 8; ++i) v[i] = __fmul_rn((v[i] - half) * inverse, scale[i]);
    draft.write(x + (at.first + k * at.step) * 8, v, is_wide, at.lane, k < whole_rows);
  }
}

/// Kernels for codes that take eight bits, or any number of them. Codes of one bit have an odd
/// offset, which pack_bytes() does not take.
template <class Visit>
void with_width(const CodeForm& form, Visit&& visit) {
  form.width == 8 && form.bits > 1 ? visit(std::true_type{}) : visit(std::false_type{});
}

// ---- channels that are no multiple of eight ---------------------------------------------------

__device__ int64_t scale_index(const CodeForm& form, int64_t element) {
  const int64_t token = element / form.channels, group = token / form.tokens_per_scale;
  return form.is_per_channel ? group * form.channels + (element - token * form.channels) : group;
}

/// A thread takes the eight codes that share bytes, one after the other.
template <class T>
__global__ void any_code_kernel(const __grid_constant__ CodeForm form, const T* x,
                                const uint8_t* scales, uint8_t* codes) {
  const int64_t eight = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x,
                elements = form.tokens * form.channels;
  if (eight * 8 >= elements) return;
  const Coder coder(form.bits);
  const auto count = static_cast<int>(min(int64_t{8}, elements - eight * 8));
  uint64_t stream = 0;
  for (int i = 0; i < count; ++i) {
    const int64_t element = eight * 8 + i;
    const Divider by =
        coder.divider(read_scale(scales, form.scale_type, scale_index(form, element)));
    const float u = coder.code(widen(x[element]), by);
    const auto code = __float2int_rn(u) + static_cast<int>(coder.half);
    stream = stream << form.width | static_cast<unsigned>(code);
  }
  stream <<= form.width * (8 - count);
  const int bytes = (count * form.width + 7) / 8;
  for (int byte = 0; byte < bytes; ++byte)
    codes[eight * form.width + byte] =
        static_cast<uint8_t>(stream >> (8 * (form.width - 1 - byte)));
}

template <class T>
__global__ void any_value_kernel(const __grid_constant__ CodeForm form, const uint8_t* codes,
                                 const uint8_t* scales, T* x) {
  const int64_t eight = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x,
                elements = form.tokens * form.channels;
  if (eight * 8 >= elements) return;
  const auto count = static_cast<int>(min(int64_t{8}, elements - eight * 8));
  const int bytes = (count * form.width + 7) / 8;
  uint64_t stream = 0;
  for (int byte = 0; byte < bytes; ++byte)
    stream |= static_cast<uint64_t>(codes[eight * form.width + byte])
              << (8 * (form.width - 1 - byte));
  const float half = static_cast<float>(1 << (form.bits - 1));
  const unsigned mask = (1U << form.width) - 1;
  for (int i = 0; i < count; ++i) {
    const int64_t element = eight * 8 + i;
    const auto code =
        static_cast<float>(static_cast<unsigned>(stream >> (form.width * (7 - i))) & mask);
    const float scale = read_scale(scales, form.scale_type, scale_index(form, element));
    x[element] = saturated_cast<T>(__fmul_rn((code - half) / half, scale));
  }
}

// ---- choice of the kernel ----------------------------------------------------------------------

template <class Visit>
void with_type(Number type, Visit&& visit) {
  if (type == Number::kFloat) return visit(float{});
  if (type == Number::kBfloat16) return visit(__nv_bfloat16{});
  visit(__half{});
}

template <class Visit>
void with_statistic(const CodeForm& form, Visit&& visit) {
  form.is_l2 ? visit(MeanSquare{}) : visit(LargestMagnitude{});
}

cuda::Grid grid_of(const CodeForm& form, int rows, void* stream) {
  const int64_t tokens = group_tokens_of(form),
                count = (tokens + rows - 1) / rows * (form.channels / 8);
  return {dim3(blocks_for(count, kThreads), static_cast<unsigned>(form.tokens / tokens)),
          dim3(kThreads), 0, static_cast<cudaStream_t>(stream)};
}

cuda::Grid any_grid_of(const CodeForm& form, void* stream) {
  return {dim3(blocks_for(form.tokens * form.channels, int64_t{8} * kThreads)), dim3(kThreads), 0,
          static_cast<cudaStream_t>(stream)};
}

/// A thread takes eight numbers, the last one what is left.
template <class From, class To>
__global__ void cast_kernel(const From* from, To* to, int64_t count) {
  const int64_t at = (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x) * 8;
  if (at + 8 <= count) {
    Raw<From> raw;
    Octet v;
    raw.load(from + at);
    raw.get(v);
    store_cut(to + at, v);
  } else {
    for (int64_t i = at; i < count; ++i) to[i] = saturated_cast<To>(widen(from[i]));
  }
}

}  // namespace

int64_t scratch_bytes(const CodeForm& form) {
  const int64_t groups = form.tokens / form.tokens_per_scale;
  return 8 * parts_of(form) * groups * (form.is_per_channel ? form.channels : 1);
}

void launch_scales(const CodeForm& form, const void* x, Number type, void* scratch, uint8_t* scales,
                   void* stream) {
  const auto on = static_cast<cudaStream_t>(stream);
  with_type(type, [&](auto number) {
    using T = decltype(number);
    with_statistic(form, [&](auto statistic) {
      using Statistic = decltype(statistic);
      const auto* values = static_cast<const T*>(x);
      if (form.channels % 8 == 0)
        launch_statistic<Statistic, T, 8>(form, values, scratch, scales, on);
      else
        launch_statistic<Statistic, T, 1>(form, values, scratch, scales, on);
    });
  });
}

void launch_codes(const CodeForm& form, const void* x, Number type, const uint8_t* scales,
                  uint8_t* codes, void* stream) {
  with_type(type, [&](auto number) {
    using T = decltype(number);
    const auto* values = static_cast<const T*>(x);
    if (form.channels % 8 == 0)
      with_width(form, [&](auto is_bytes) {
        cuda::launch("fixpoint code_kernel", grid_of(form, kCodeRows<T>, stream),
                     code_kernel<T, is_bytes()>, form, group_tokens_of(form), values, scales,
                     codes);
      });
    else
      cuda::launch("fixpoint any_code_kernel", any_grid_of(form, stream), any_code_kernel<T>, form,
                   values, scales, codes);
  });
}

void launch_scales_and_codes(const CodeForm& form, const void* x, Number type, void* scratch,
                             uint8_t* scales, uint8_t* codes, void* stream) {
  bool is_done = false;
  with_type(type, [&](auto number) {
    with_statistic(form, [&](auto statistic) {
      using Statistic = decltype(statistic);
      const auto* values = static_cast<const decltype(number)*>(x);
      const auto on = static_cast<cudaStream_t>(stream);
      is_done = launch_cluster<Statistic>(form, values, scales, codes, on) ||
                launch_tokens<Statistic>(form, values, scales, codes, on);
    });
  });
  if (is_done) return;
  launch_scales(form, x, type, scratch, scales, stream);
  launch_codes(form, x, type, scales, codes, stream);
}

void launch_values(const CodeForm& form, const uint8_t* codes, const uint8_t* scales, void* x,
                   Number type, void* stream) {
  with_type(type, [&](auto number) {
    auto* values = static_cast<decltype(number)*>(x);
    if (form.channels % 8 == 0)
      with_width(form, [&](auto is_bytes) {
        cuda::launch("fixpoint value_kernel", grid_of(form, kValueRows, stream),
                     value_kernel<decltype(number), is_bytes()>, form, group_tokens_of(form), codes,
                     scales, values);
      });
    else
      cuda::launch("fixpoint any_value_kernel", any_grid_of(form, stream),
                   any_value_kernel<decltype(number)>, form, codes, scales, values);
  });
}

void launch_cast(const void* from, Number from_type, void* to, Number to_type, int64_t count,
                 void* stream) {
  const cuda::Grid grid{dim3(blocks_for(count, int64_t{8} * kThreads)), dim3(kThreads), 0,
                        static_cast<cudaStream_t>(stream)};
  with_type(from_type, [&](auto source) {
    with_type(to_type, [&](auto target) {
      using From = decltype(source);
      using To = decltype(target);
      cuda::launch("cast_kernel", grid, cast_kernel<From, To>, static_cast<const From*>(from),
                   static_cast<To*>(to), count);
    });
  });
}

}  // namespace qtk::boundary
