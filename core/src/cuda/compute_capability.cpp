#include "cuda/compute_capability.hpp"

#include <qtk/runtime/error.hpp>

#ifdef QTK_HAS_CUDA
#include <cuda_runtime_api.h>
#endif

#include <string>

namespace qtk::cuda {

#ifdef QTK_HAS_CUDA
std::optional<ComputeCapability> compute_capability(int device) {
  ComputeCapability result;
  cudaError_t error =
      cudaDeviceGetAttribute(&result.major, cudaDevAttrComputeCapabilityMajor, device);
  if (error == cudaSuccess)
    error = cudaDeviceGetAttribute(&result.minor, cudaDevAttrComputeCapabilityMinor, device);
  if (error != cudaSuccess)
    throw Error(
        "CUDA device " + std::to_string(device) + " does not answer: " + cudaGetErrorString(error),
        "check the driver with `qtk doctor`", ExitCode::kEnvironment, "device");
  return result;
}
#else
std::optional<ComputeCapability> compute_capability(int) { return std::nullopt; }
#endif

}  // namespace qtk::cuda
