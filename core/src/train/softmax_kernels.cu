// One block of threads a row. The first pass keeps a running maximum and sum of exponentials per
// thread (Milakov and Gimelshein 2018), the second writes.
#include "train/softmax_kernels.hpp"

#include <qtk/cuda/launch.hpp>

#include <cuda_bf16.h>

#include <cmath>

namespace qtk::train {
namespace {

constexpr int kThreads = 512, kWarp = 32, kWarps = kThreads / kWarp;

__device__ float as_float(float value) { return value; }
__device__ float as_float(__nv_bfloat16 value) { return __bfloat162float(value); }
__device__ void assign(float& out, float value) { out = value; }
__device__ void assign(__nv_bfloat16& out, float value) { out = __float2bfloat16(value); }

template <class T>
struct alignas(16) Vector {
  T at[kSoftmaxVector];
};

/// sum of exp(x - top) over what was seen.
struct Running {
  float top, sum;
};

__device__ Running joined(Running a, Running b) {
  const float top = fmaxf(a.top, b.top);
  if (top == -INFINITY) return {top, 0.0f};
  return {top, a.sum * __expf(a.top - top) + b.sum * __expf(b.top - top)};
}

__device__ Running joined_in_warp(Running mine) {
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    const Running other = {__shfl_xor_sync(0xffffffffu, mine.top, distance),
                           __shfl_xor_sync(0xffffffffu, mine.sum, distance)};
    mine = joined(mine, other);
  }
  return mine;
}

template <class T>
__global__ void softmax_gradient_kernel(Vector<T>* logits, const int64_t* targets, float* nll,
                                        int64_t vectors, int64_t unscored, float scale) {
  __shared__ Running parts[kWarps];
  __shared__ float log_total, target_logit;
  Vector<T>* row = logits + blockIdx.x * vectors;
  const int64_t target = targets[blockIdx.x];
  if (target == unscored) {
    Vector<T> zeros;
    for (int k = 0; k < kSoftmaxVector; ++k) assign(zeros.at[k], 0.0f);
    for (int64_t i = threadIdx.x; i < vectors; i += kThreads) row[i] = zeros;
    if (threadIdx.x == 0) nll[blockIdx.x] = 0.0f;
    return;
  }
  Running mine = {-INFINITY, 0.0f};
  for (int64_t i = threadIdx.x; i < vectors; i += kThreads) {
    const Vector<T> x = row[i];
    float top = mine.top;
    for (int k = 0; k < kSoftmaxVector; ++k) top = fmaxf(top, as_float(x.at[k]));
    float sum = top == -INFINITY ? 0.0f : mine.sum * __expf(mine.top - top);
    for (int k = 0; k < kSoftmaxVector; ++k)
      if (top != -INFINITY) sum += __expf(as_float(x.at[k]) - top);
    mine = {top, sum};
  }
  mine = joined_in_warp(mine);
  if (threadIdx.x % kWarp == 0) parts[threadIdx.x / kWarp] = mine;
  __syncthreads();
  if (threadIdx.x < kWarp) {
    Running all = threadIdx.x < kWarps ? parts[threadIdx.x] : Running{-INFINITY, 0.0f};
    all = joined_in_warp(all);
    if (threadIdx.x == 0) {
      log_total = all.top + logf(all.sum);
      target_logit = as_float(row[target / kSoftmaxVector].at[target % kSoftmaxVector]);
      nll[blockIdx.x] = log_total - target_logit;
    }
  }
  __syncthreads();
  const float base = log_total;
  for (int64_t i = threadIdx.x; i < vectors; i += kThreads) {
    Vector<T> x = row[i];
    for (int k = 0; k < kSoftmaxVector; ++k) {
      const float p = __expf(as_float(x.at[k]) - base);
      const bool is_target = i * kSoftmaxVector + k == target;
      assign(x.at[k], (is_target ? p - 1.0f : p) * scale);
    }
    row[i] = x;
  }
}

template <class T>
void launch(const SoftmaxGradientArguments& a, cudaStream_t stream) {
  if (a.rows == 0) return;
  cuda::launch("softmax_gradient_kernel",
               {dim3(static_cast<unsigned>(a.rows)), dim3(kThreads), 0, stream},
               softmax_gradient_kernel<T>, static_cast<Vector<T>*>(a.logits), a.targets, a.nll,
               a.columns / kSoftmaxVector, a.unscored, a.scale);
}

}  // namespace

void launch_softmax_gradient(const SoftmaxGradientArguments& a, void* stream) {
  const auto s = static_cast<cudaStream_t>(stream);
  a.is_bfloat16 ? launch<__nv_bfloat16>(a, s) : launch<float>(a, s);
}

}  // namespace qtk::train
