#include "model/block_kernels.hpp"

#include <qtk/cuda/launch.hpp>

#include <cuda_bf16.h>

#include <algorithm>

namespace qtk::model {
namespace {

constexpr int kThreads = 256;

__device__ float as_float(float value) { return value; }
__device__ float as_float(__nv_bfloat16 value) { return __bfloat162float(value); }
__device__ void assign(float& out, float value) { out = value; }
__device__ void assign(__nv_bfloat16& out, float value) { out = __float2bfloat16(value); }

template <class T>
struct alignas(16) Vector {
  T at[kVectorElements];
};

unsigned blocks_for(int64_t count) {
  constexpr int64_t kMost = 1 << 20;  // kernels stride over the rest
  return static_cast<unsigned>(
      std::min<int64_t>(std::max<int64_t>(1, (count + kThreads - 1) / kThreads), kMost));
}

template <class T>
__global__ void rotate_kernel(const T* x, T* out, const float* cosines, const float* sines,
                              RotateArguments a) {
  const int64_t per_head = a.head_dim - a.half, count = a.rows * a.heads * per_head;
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += stride) {
    const int64_t feature = i % per_head, head = i / per_head % a.heads,
                  row = i / per_head / a.heads;
    const T* in = x + row * a.row_stride + head * a.head_dim;
    T* to = out + (row * a.heads + head) * a.head_dim;
    if (feature >= a.half) {
      to[a.half + feature] = in[a.half + feature];
      continue;
    }
    const int64_t angle = row % a.positions * a.half + feature;
    const float c = cosines[angle], s = a.is_inverse ? -sines[angle] : sines[angle];
    const float low = as_float(in[feature]), high = as_float(in[feature + a.half]);
    assign(to[feature], low * c - high * s);
    assign(to[feature + a.half], high * c + low * s);
  }
}

template <class T>
__global__ void silu_times_kernel(const Vector<T>* gate, const Vector<T>* up, Vector<T>* out,
                                  int64_t vectors) {
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < vectors;
       i += stride) {
    const Vector<T> g = gate[i], u = up[i];
    Vector<T> y;
    for (int k = 0; k < kVectorElements; ++k) {
      const float z = as_float(g.at[k]);
      assign(y.at[k], z / (1.0f + __expf(-z)) * as_float(u.at[k]));
    }
    out[i] = y;
  }
}

template <class T>
__global__ void silu_times_gradient_kernel(const Vector<T>* gate, const Vector<T>* up,
                                           const Vector<T>* of_out, Vector<T>* of_gate,
                                           Vector<T>* of_up, int64_t vectors) {
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < vectors;
       i += stride) {
    const Vector<T> g = gate[i], u = up[i], d = of_out[i];
    Vector<T> dg, du;
    for (int k = 0; k < kVectorElements; ++k) {
      const float z = as_float(g.at[k]), dy = as_float(d.at[k]);
      const float sigmoid = 1.0f / (1.0f + __expf(-z));
      assign(du.at[k], dy * z * sigmoid);
      assign(dg.at[k], dy * as_float(u.at[k]) * sigmoid * (1.0f + z * (1.0f - sigmoid)));
    }
    of_gate[i] = dg;
    of_up[i] = du;
  }
}

template <class T>
void rotate(const RotateArguments& a, cudaStream_t stream) {
  const int64_t count = a.rows * a.heads * (a.head_dim - a.half);
  if (count == 0) return;
  cuda::launch("rotate_kernel", {dim3(blocks_for(count)), dim3(kThreads), 0, stream},
               rotate_kernel<T>, static_cast<const T*>(a.x), static_cast<T*>(a.out), a.cosines,
               a.sines, a);
}

template <class T>
void silu_times(const SiluTimesArguments& a, cudaStream_t stream) {
  const int64_t vectors = a.count / kVectorElements;
  if (vectors == 0) return;
  cuda::launch("silu_times_kernel", {dim3(blocks_for(vectors)), dim3(kThreads), 0, stream},
               silu_times_kernel<T>, static_cast<const Vector<T>*>(a.gate),
               static_cast<const Vector<T>*>(a.up), static_cast<Vector<T>*>(a.out), vectors);
}

template <class T>
void silu_times_gradient(const SiluTimesGradientArguments& a, cudaStream_t stream) {
  const int64_t vectors = a.count / kVectorElements;
  if (vectors == 0) return;
  cuda::launch("silu_times_gradient_kernel", {dim3(blocks_for(vectors)), dim3(kThreads), 0, stream},
               silu_times_gradient_kernel<T>, static_cast<const Vector<T>*>(a.gate),
               static_cast<const Vector<T>*>(a.up), static_cast<const Vector<T>*>(a.of_out),
               static_cast<Vector<T>*>(a.of_gate), static_cast<Vector<T>*>(a.of_up), vectors);
}

}  // namespace

void launch_rotate(const RotateArguments& a, void* stream) {
  const auto s = static_cast<cudaStream_t>(stream);
  a.width == FloatWidth::kFloat ? rotate<float>(a, s) : rotate<__nv_bfloat16>(a, s);
}

void launch_silu_times(const SiluTimesArguments& a, void* stream) {
  const auto s = static_cast<cudaStream_t>(stream);
  a.width == FloatWidth::kFloat ? silu_times<float>(a, s) : silu_times<__nv_bfloat16>(a, s);
}

void launch_silu_times_gradient(const SiluTimesGradientArguments& a, void* stream) {
  const auto s = static_cast<cudaStream_t>(stream);
  a.width == FloatWidth::kFloat ? silu_times_gradient<float>(a, s)
                                : silu_times_gradient<__nv_bfloat16>(a, s);
}

}  // namespace qtk::model
