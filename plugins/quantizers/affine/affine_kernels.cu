// Neighbouring threads decode neighbouring codes, so reads and writes are coalesced.
// Floor: 1 byte read and 4 bytes written per weight.
#include "affine_kernels.hpp"

#include <qtk/cuda/launch.hpp>

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <algorithm>

namespace qtk::affine {
namespace {

constexpr int kThreads = 256;

__device__ float as_float(float value) { return value; }
__device__ float as_float(__half value) { return __half2float(value); }
__device__ float as_float(__nv_bfloat16 value) { return __bfloat162float(value); }

template <class Code, class Scale>
__global__ void dequantize_kernel(const Code* codes, const Scale* scales, const uint8_t* zeros,
                                  float* out, int64_t count, int64_t group_size) {
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += stride) {
    const int64_t group = i / group_size;
    const float zero = zeros ? static_cast<float>(zeros[group]) : 0.0f;
    out[i] = (static_cast<float>(codes[i]) - zero) * as_float(scales[group]);
  }
}

template <class Code, class Scale>
void launch(const DequantizeArguments& a, cudaStream_t stream) {
  constexpr int64_t kMostBlocks = 1 << 20;  // the kernel strides over the rest
  const int64_t count = a.groups * a.group_size;
  if (count == 0) return;
  const int64_t blocks = std::min((count + kThreads - 1) / kThreads, kMostBlocks);
  cuda::launch("affine dequantize_kernel",
               {dim3(static_cast<unsigned>(blocks)), dim3(kThreads), 0, stream},
               dequantize_kernel<Code, Scale>, static_cast<const Code*>(a.codes),
               static_cast<const Scale*>(a.scales), a.zeros, a.out, count, a.group_size);
}

template <class Scale>
void launch_for_codes(const DequantizeArguments& a, cudaStream_t stream) {
  if (a.zeros)
    launch<uint8_t, Scale>(a, stream);
  else
    launch<int8_t, Scale>(a, stream);
}

}  // namespace

void launch_dequantize(const DequantizeArguments& arguments, void* stream) {
  const auto s = static_cast<cudaStream_t>(stream);
  switch (arguments.scale_width) {
    case ScaleWidth::kFloat:
      return launch_for_codes<float>(arguments, s);
    case ScaleWidth::kHalf:
      return launch_for_codes<__half>(arguments, s);
    case ScaleWidth::kBfloat16:
      return launch_for_codes<__nv_bfloat16>(arguments, s);
  }
}

}  // namespace qtk::affine
