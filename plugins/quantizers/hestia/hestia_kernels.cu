// One pass each way: a group lies in the registers of 4 to 32 neighbouring threads, which sum |w|
// by shuffles and go on with the scale at once. A thread reads 16 bytes at a time.
//
// Arithmetic per weight is two exponentials, one reciprocal and about 25 other operations, below
// what an H100 does while it moves 6 bytes.
#include "hestia_kernels.hpp"

#include <qtk/cuda/launch.hpp>

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <algorithm>

namespace qtk::hestia {
namespace {

constexpr int kThreads = 256;
constexpr float kScaleEpsilon = 1e-5F;
constexpr float kLargestExponent = 80.0F;
constexpr int64_t kSplit = 16384;  // weights that one block sums

enum class Kind { kTernary, kLevels, kHard };

__device__ float rounded(float scale, ScaleWidth width) {
  if (width == ScaleWidth::kHalf) return __half2float(__float2half_rn(scale));
  if (width == ScaleWidth::kBfloat16) return __bfloat162float(__float2bfloat16_rn(scale));
  return scale;
}

// ---- one weight ----------------------------------------------------------------------------

struct Soft {
  float mean, slope;
};

/// The closed form of soft_loops.cpp.
__device__ Soft ternary_soft(float z, float inverse) {
  const float a = fabsf(z);
  const float e4 = __expf(-4 * a * inverse);
  const float e1 = __expf(fminf((1 - 2 * a) * inverse, kLargestExponent));
  const float r = __fdividef(1.0F, 1 + e4 + e1);
  return {copysignf((1 - e4) * r, z), 2 * inverse * (r * (4 * e4 * r + (1 + e4) * (e1 * r)))};
}

__device__ Soft levels_soft(float z, const FormTerms& form) {
  float least = INFINITY;
  for (int k = 0; k < form.num_levels; ++k) {
    const float d = z - form.levels[k];
    least = fminf(least, d * d);
  }
  float total = 0, first = 0;
  for (int k = 0; k < form.num_levels; ++k) {
    const float d = z - form.levels[k];
    const float p = __expf((least - d * d) * form.inverse_temperature);
    total += p, first += p * form.levels[k];
  }
  const float mean = first / total;
  float second = 0;
  for (int k = 0; k < form.num_levels; ++k) {
    const float d = z - form.levels[k], e = form.levels[k] - mean;
    second += __expf((least - d * d) * form.inverse_temperature) * (e * e);
  }
  return {mean, 2 * form.inverse_temperature * (second / total)};
}

template <Kind kind>
__device__ Soft soft(float z, const FormTerms& form) {
  if constexpr (kind == Kind::kTernary) return ternary_soft(z, form.inverse_temperature);
  return levels_soft(z, form);
}

__device__ float nearest_level(float z, const FormTerms& form) {
  float level = form.levels[0];
  for (int k = 1; k < form.num_levels; ++k)
    if (z > 0.5F * (form.levels[k - 1] + form.levels[k])) level = form.levels[k];
  return level;
}

/// What a group needs of its scale.
struct GroupScale {
  float gamma, to_z, out;
};

__device__ GroupScale group_scale(float gamma, const FormTerms& form) {
  return {gamma, __fdiv_rn(1.0F, gamma), form.is_hard ? rounded(gamma, form.scale_width) : gamma};
}

template <Kind kind>
__device__ float weight_of(float w, const GroupScale& scale, const FormTerms& form) {
  float value;
  if constexpr (kind == Kind::kHard)
    value = nearest_level(__fdiv_rn(w, scale.gamma), form) * scale.out;
  else
    value = soft<kind>(w * scale.to_z, form).mean * scale.out;
  return form.pressure == 1.0F ? value : w + form.pressure * (value - w);
}

template <Kind kind>
__device__ float gradient_of(float g, float w, const GroupScale& scale, const FormTerms& form) {
  return g * (1 + form.pressure * (soft<kind>(w * scale.to_z, form).slope - 1));
}

// ---- memory --------------------------------------------------------------------------------

template <int count>
struct Values {
  float at[count];
};

__device__ Values<4> load(const float* from, Values<4>*) {
  const float4 v = *reinterpret_cast<const float4*>(from);
  return {{v.x, v.y, v.z, v.w}};
}
__device__ Values<4> load(const __nv_bfloat16* from, Values<4>*) {
  const uint2 v = *reinterpret_cast<const uint2*>(from);
  const float2 low = __bfloat1622float2(*reinterpret_cast<const __nv_bfloat162*>(&v.x)),
               high = __bfloat1622float2(*reinterpret_cast<const __nv_bfloat162*>(&v.y));
  return {{low.x, low.y, high.x, high.y}};
}
__device__ Values<1> load(const float* from, Values<1>*) { return {{*from}}; }
__device__ Values<1> load(const __nv_bfloat16* from, Values<1>*) {
  return {{__bfloat162float(*from)}};
}

__device__ void store(float* to, const Values<4>& v) {
  *reinterpret_cast<float4*>(to) = make_float4(v.at[0], v.at[1], v.at[2], v.at[3]);
}
__device__ void store(__nv_bfloat16* to, const Values<4>& v) {
  const __nv_bfloat162 low = __floats2bfloat162_rn(v.at[0], v.at[1]),
                       high = __floats2bfloat162_rn(v.at[2], v.at[3]);
  *reinterpret_cast<uint2*>(to) = make_uint2(*reinterpret_cast<const unsigned*>(&low),
                                             *reinterpret_cast<const unsigned*>(&high));
}
__device__ void store(float* to, const Values<1>& v) { *to = v.at[0]; }
__device__ void store(__nv_bfloat16* to, const Values<1>& v) { *to = __float2bfloat16_rn(v.at[0]); }

template <int count, class T>
__device__ Values<count> load(const T* from) {
  return load(from, static_cast<Values<count>*>(nullptr));
}

// ---- groups in registers -------------------------------------------------------------------

/// `quads` times four weights of each of `lanes` threads.
template <int lanes, int quads>
struct GroupInRegisters {
  static constexpr int64_t kSize = 4 * lanes * quads;
  Values<4> w[quads];
  int64_t begin;  // of this thread's first four
  bool is_real;   // else the thread only takes part in shuffles

  __device__ GroupInRegisters(int64_t groups, const float* source) {
    const int64_t thread = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
    begin = thread / lanes * kSize + thread % lanes * 4;
    is_real = thread / lanes < groups;
    for (int i = 0; i < quads; ++i) w[i] = is_real ? load<4>(source + at(i)) : Values<4>{};
  }

  __device__ int64_t at(int i) const { return begin + static_cast<int64_t>(i) * lanes * 4; }

  __device__ float gamma() const {
    float sum = 0;
    for (int i = 0; i < quads; ++i)
      for (int k = 0; k < 4; ++k) sum += fabsf(w[i].at[k]);
    for (int offset = lanes / 2; offset > 0; offset /= 2)
      sum += __shfl_xor_sync(0xffffffffU, sum, offset);
    return sum * (1.0F / kSize) + kScaleEpsilon;  // a power of two: exact
  }
};

template <int lanes, int quads>
__global__ void fused_scale_kernel(int64_t groups, const float* w, float* scale) {
  const GroupInRegisters<lanes, quads> group(groups, w);
  const float gamma = group.gamma();
  const int64_t thread = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (group.is_real && thread % lanes == 0) scale[thread / lanes] = gamma;
}

template <int lanes, int quads, Kind kind, class Out>
__global__ void fused_weight_kernel(int64_t groups, const __grid_constant__ FormTerms form,
                                    const float* w, Out* out) {
  const GroupInRegisters<lanes, quads> group(groups, w);
  const GroupScale scale = group_scale(group.gamma(), form);
  if (!group.is_real) return;
  for (int i = 0; i < quads; ++i) {
    Values<4> result;
    for (int k = 0; k < 4; ++k) result.at[k] = weight_of<kind>(group.w[i].at[k], scale, form);
    store(out + group.at(i), result);
  }
}

template <int lanes, int quads, Kind kind, class In>
__global__ void fused_gradient_kernel(int64_t groups, const __grid_constant__ FormTerms form,
                                      const float* w, const In* gradient, float* out) {
  const GroupInRegisters<lanes, quads> group(groups, w);
  const GroupScale scale = group_scale(group.gamma(), form);
  if (!group.is_real) return;
  for (int i = 0; i < quads; ++i) {
    Values<4> result = load<4>(gradient + group.at(i));
    for (int k = 0; k < 4; ++k)
      result.at[k] = gradient_of<kind>(result.at[k], group.w[i].at[k], scale, form);
    store(out + group.at(i), result);
  }
}

// ---- groups of any size, with scales made before --------------------------------------------

/// A thread takes `count` neighbours of one group.
template <int count>
__device__ bool place(const Shape& shape, int64_t& at, int64_t& group) {
  at = (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x) * count;
  if (at >= shape.groups * shape.size) return false;
  group = shape.groups == 1 ? 0 : at / shape.size;
  return true;
}

template <int count, Kind kind, class Out>
__global__ void weight_kernel(Shape shape, const __grid_constant__ FormTerms form, const float* w,
                              const float* scales, Out* out) {
  int64_t at, group;
  if (!place<count>(shape, at, group)) return;
  const GroupScale scale = group_scale(scales[group], form);
  Values<count> values = load<count>(w + at);
  for (int k = 0; k < count; ++k) values.at[k] = weight_of<kind>(values.at[k], scale, form);
  store(out + at, values);
}

template <int count, Kind kind, class In>
__global__ void gradient_kernel(Shape shape, const __grid_constant__ FormTerms form, const float* w,
                                const float* scales, const In* gradient, float* out) {
  int64_t at, group;
  if (!place<count>(shape, at, group)) return;
  const GroupScale scale = group_scale(scales[group], form);
  const Values<count> weights = load<count>(w + at);
  Values<count> values = load<count>(gradient + at);
  for (int k = 0; k < count; ++k)
    values.at[k] = gradient_of<kind>(values.at[k], weights.at[k], scale, form);
  store(out + at, values);
}

__device__ float block_sum(float sum) {
  __shared__ float of_warp[kThreads / 32];
  for (int offset = 16; offset > 0; offset /= 2) sum += __shfl_xor_sync(0xffffffffU, sum, offset);
  if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = sum;
  __syncthreads();
  sum = 0;
  for (unsigned warp = 0; warp < blockDim.x / 32; ++warp) sum += of_warp[warp];
  return sum;
}

/// One block for each part of a group.
__global__ void partial_sum_kernel(Shape shape, int64_t splits, const float* w, float* partial) {
  const int64_t group = blockIdx.x / splits, split = blockIdx.x % splits;
  const int64_t part = (shape.size + splits - 1) / splits;
  const int64_t end = min((split + 1) * part, shape.size);
  const float* weights = w + group * shape.size;
  float sum = 0;
  for (int64_t i = split * part + threadIdx.x; i < end; i += blockDim.x) sum += fabsf(weights[i]);
  sum = block_sum(sum);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

/// One warp for each group.
__global__ void finish_scale_kernel(Shape shape, int64_t splits, const float* partial,
                                    float* scale) {
  float sum = 0;
  for (int64_t i = threadIdx.x; i < splits; i += 32) sum += partial[blockIdx.x * splits + i];
  for (int offset = 16; offset > 0; offset /= 2) sum += __shfl_xor_sync(0xffffffffU, sum, offset);
  if (threadIdx.x == 0)
    scale[blockIdx.x] = __fdiv_rn(sum, static_cast<float>(shape.size)) + kScaleEpsilon;
}

// ---- choice of the kernel --------------------------------------------------------------------

template <int lanes, int quads>
struct Tile {
  static constexpr int kLanes = lanes, kQuads = quads;
};

/// Calls `visit(Tile)` of a group size that fits in registers.
template <class Visit>
bool with_tile(int64_t size, Visit&& visit) {
  switch (size) {
    case 16:
      return visit(Tile<4, 1>{}), true;
    case 32:
      return visit(Tile<8, 1>{}), true;
    case 64:
      return visit(Tile<16, 1>{}), true;
    case 128:
      return visit(Tile<32, 1>{}), true;
    case 256:
      return visit(Tile<32, 2>{}), true;
    case 512:
      return visit(Tile<32, 4>{}), true;
    case 1024:
      return visit(Tile<32, 8>{}), true;
    default:
      return false;
  }
}

template <Kind value>
struct KindOf {
  static constexpr Kind kValue = value;
};

template <class Visit>
void with_soft_kind(const FormTerms& form, Visit&& visit) {
  form.is_ternary ? visit(KindOf<Kind::kTernary>{}) : visit(KindOf<Kind::kLevels>{});
}

template <class Visit>
void with_kind(const FormTerms& form, Visit&& visit) {
  form.is_hard ? visit(KindOf<Kind::kHard>{}) : with_soft_kind(form, visit);
}

cuda::Grid grid_of(int64_t threads, void* stream) {
  return {dim3(static_cast<unsigned>((threads + kThreads - 1) / kThreads)), dim3(kThreads), 0,
          static_cast<cudaStream_t>(stream)};
}

bool is_aligned(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer) % 16 == 0; }

int64_t splits_of(const Shape& shape) {
  return std::clamp<int64_t>((shape.size + kSplit - 1) / kSplit, 1, 1024);
}

template <class Out>
void launch_weight(const Shape& shape, const FormTerms& form, const float* w, const float* scale,
                   Out* out, void* stream) {
  const int64_t count = shape.groups * shape.size;
  with_kind(form, [&](auto kind_of) {
    constexpr Kind kind = decltype(kind_of)::kValue;
    if (!scale) {
      with_tile(shape.size, [&](auto tile) {
        using T = decltype(tile);
        cuda::launch("hestia fused_weight_kernel", grid_of(shape.groups * T::kLanes, stream),
                     fused_weight_kernel<T::kLanes, T::kQuads, kind, Out>, shape.groups, form, w,
                     out);
      });
    } else if (shape.size % 4 == 0 && is_aligned(w)) {
      cuda::launch("hestia weight_kernel", grid_of(count / 4, stream), weight_kernel<4, kind, Out>,
                   shape, form, w, scale, out);
    } else {
      cuda::launch("hestia weight_kernel", grid_of(count, stream), weight_kernel<1, kind, Out>,
                   shape, form, w, scale, out);
    }
  });
}

template <class In>
void launch_gradient(const Shape& shape, const FormTerms& form, const float* w, const float* scale,
                     const In* gradient, float* out, void* stream) {
  const int64_t count = shape.groups * shape.size;
  with_soft_kind(form, [&](auto kind_of) {
    constexpr Kind kind = decltype(kind_of)::kValue;
    if (!scale) {
      with_tile(shape.size, [&](auto tile) {
        using T = decltype(tile);
        cuda::launch("hestia fused_gradient_kernel", grid_of(shape.groups * T::kLanes, stream),
                     fused_gradient_kernel<T::kLanes, T::kQuads, kind, In>, shape.groups, form, w,
                     gradient, out);
      });
    } else if (shape.size % 4 == 0 && is_aligned(w)) {
      cuda::launch("hestia gradient_kernel", grid_of(count / 4, stream),
                   gradient_kernel<4, kind, In>, shape, form, w, scale, gradient, out);
    } else {
      cuda::launch("hestia gradient_kernel", grid_of(count, stream), gradient_kernel<1, kind, In>,
                   shape, form, w, scale, gradient, out);
    }
  });
}

}  // namespace

bool is_scale_fused(const Shape& shape, const float* w) {
  return is_aligned(w) && with_tile(shape.size, [](auto) {});
}

int64_t num_partial_sums(const Shape& shape) { return shape.groups * splits_of(shape); }

void launch_scale(const Shape& shape, const float* w, float* partial, float* scale, void* stream) {
  if (is_scale_fused(shape, w)) {
    with_tile(shape.size, [&](auto tile) {
      using T = decltype(tile);
      cuda::launch("hestia fused_scale_kernel", grid_of(shape.groups * T::kLanes, stream),
                   fused_scale_kernel<T::kLanes, T::kQuads>, shape.groups, w, scale);
    });
    return;
  }
  const auto s = static_cast<cudaStream_t>(stream);
  const int64_t splits = splits_of(shape);
  const unsigned threads = shape.size <= 1024 ? 32 : kThreads;
  cuda::launch("hestia partial_sum_kernel",
               {dim3(static_cast<unsigned>(shape.groups * splits)), dim3(threads), 0, s},
               partial_sum_kernel, shape, splits, w, partial);
  cuda::launch("hestia finish_scale_kernel",
               {dim3(static_cast<unsigned>(shape.groups)), dim3(32), 0, s}, finish_scale_kernel,
               shape, splits, partial, scale);
}

void launch_effective_weight(const Shape& shape, const FormTerms& form, const float* w,
                             const float* scale, const Output& out, void* stream) {
  if (out.is_bf16)
    launch_weight(shape, form, w, scale, static_cast<__nv_bfloat16*>(out.data), stream);
  else
    launch_weight(shape, form, w, scale, static_cast<float*>(out.data), stream);
}

void launch_latent_gradient(const Shape& shape, const FormTerms& form, const float* w,
                            const float* scale, const Input& gradient, float* out, void* stream) {
  if (gradient.is_bf16)
    launch_gradient(shape, form, w, scale, static_cast<const __nv_bfloat16*>(gradient.data), out,
                    stream);
  else
    launch_gradient(shape, form, w, scale, static_cast<const float*>(gradient.data), out, stream);
}

}  // namespace qtk::hestia
