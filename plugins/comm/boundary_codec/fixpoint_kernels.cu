// Codes from values and values from codes. A thread keeps the scales of its channels for several
// tokens.
#include "fixpoint_kernels.hpp"
#include "joint_kernels.cuh"

namespace qtk::boundary {
namespace {

constexpr int kValueRows = 4;  // tokens of a thread that decodes
/// And of one that encodes.
template <class T>
constexpr int kCodeRows = sizeof(T) == 2 ? 8 : 4;

/// The eight neighbouring channels of a thread, and its tokens, `step` eights apart.
/// @tparam most_rows  tokens
template <int most_rows>
struct Eights {
  int64_t first, step, rows_apart;
  int channel;
  int64_t token;  // of the first
  int64_t group;
  int rows;

  /// Blocks (x, y): numbers of group y.
  __device__ Eights(const CodeForm& form, int64_t group_tokens, unsigned block) {
    const int columns = form.channels / 8;
    rows_apart = (group_tokens + most_rows - 1) / most_rows, step = rows_apart * columns;
    const int64_t at = static_cast<int64_t>(block) * kThreads + threadIdx.x;
    group = blockIdx.y;
    first = group * group_tokens * columns + at;
    const int64_t row = step < int64_t{1} << 31
                            ? static_cast<unsigned>(at) / static_cast<unsigned>(columns)
                            : at / columns;
    channel = static_cast<int>(at - row * columns) * 8;
    token = group * group_tokens + row;
    rows = 0;
    for (int k = 0; k < most_rows; ++k)
      if (at < step && row + k * rows_apart < group_tokens) rows = k + 1;
  }
};

int64_t group_tokens_of(const CodeForm& form) {
  return form.is_per_channel ? form.tokens_per_scale : form.tokens;
}

/// Index of the scale of a token, where channels share it.
__device__ int64_t shared_scale(const CodeForm& form, int64_t token) {
  return form.tokens_per_scale == 1 ? token : token / form.tokens_per_scale;
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    code_kernel(const __grid_constant__ CodeForm form, int64_t group_tokens, const T* x,
                const uint8_t* scales, uint8_t* codes) {
  constexpr int kRows = kCodeRows<T>;
  // From the end on: what was read last for the scales is still in the cache.
  const Eights<kRows> at(form, group_tokens, gridDim.x - 1 - blockIdx.x);
  wait_for_earlier_work();
  if (at.rows == 0) return;
  Raw<T> raw[kRows];
#pragma unroll
  for (int k = 0; k < kRows; ++k)
    if (k < at.rows) raw[k].load(x + (at.first + k * at.step) * 8);
  const auto write_all = [&](const auto& code) {
#pragma unroll
    for (int k = 0; k < kRows; ++k) {
      if (k >= at.rows) break;
      Octet v;
      raw[k].get(v);
      write_codes(codes + (at.first + k * at.step) * form.width, code(v, k), form.width);
    }
  };
  const AnyCoder any(form.bits, form.width);
  if (!form.is_per_channel) {
    write_all([&](Octet& v, int k) {
      const int64_t token = at.token + k * at.rows_apart;
      any.coder.code(
          v, any.coder.divider(read_scale(scales, form.scale_type, shared_scale(form, token))));
      return any.pack(v);
    });
    return;
  }
  Octet scale;
  read_scales(scales, form.scale_type, at.group * form.channels + at.channel, scale);
  with_channel_coder<T>(
      form, scale, [&](const auto& code) { write_all([&](Octet& v, int) { return code(v); }); });
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

template <class T>
__global__ void __launch_bounds__(kThreads)
    value_kernel(const __grid_constant__ CodeForm form, int64_t group_tokens, const uint8_t* codes,
                 const uint8_t* scales, T* x) {
  const Eights<kValueRows> at(form, group_tokens, blockIdx.x);
  __shared__ uint4 drafts[kThreads / 32][ValueDraft<T>::kVectors];
  const ValueDraft<T> draft{drafts[threadIdx.x / 32]};
  const int whole_rows = __reduce_min_sync(kAllLanes, at.rows);
  CodeWords words[kValueRows];
  wait_for_earlier_work();
#pragma unroll
  for (int k = 0; k < kValueRows; ++k)
    if (k < at.rows)
      words[k] = read_codes(codes + (at.first + k * at.step) * form.width, form.width);
  const Coder coder(form.bits);
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
          read_scale(scales, form.scale_type, shared_scale(form, at.token + k * at.rows_apart));
#pragma unroll
      for (float& each : scale) each = one;
      is_wide = exceeds(one);
    }
    Octet v;
    center_codes(words[k], form.width, coder.half, v);
#pragma unroll
    for (int i = 0; i < 8; ++i) v[i] = __fmul_rn(v[i] * coder.inverse, scale[i]);
    draft.write(x + (at.first + k * at.step) * 8, v, is_wide, static_cast<int>(threadIdx.x) % 32,
                k < whole_rows);
  }
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
  wait_for_earlier_work();
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
  wait_for_earlier_work();
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
  wait_for_earlier_work();
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
      launch_early("fixpoint code_kernel", grid_of(form, kCodeRows<T>, stream), code_kernel<T>,
                   form, group_tokens_of(form), values, scales, codes);
    else
      launch_early("fixpoint any_code_kernel", any_grid_of(form, stream), any_code_kernel<T>, form,
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
      launch_early("fixpoint value_kernel", grid_of(form, kValueRows, stream),
                   value_kernel<decltype(number)>, form, group_tokens_of(form), codes, scales,
                   values);
    else
      launch_early("fixpoint any_value_kernel", any_grid_of(form, stream),
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
      launch_early("cast_kernel", grid, cast_kernel<From, To>, static_cast<const From*>(from),
                   static_cast<To*>(to), count);
    });
  });
}

}  // namespace qtk::boundary
