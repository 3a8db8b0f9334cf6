// Kernels that start while the one before them in the stream ends (programmatic dependent launch).
#pragma once

#include <qtk/cuda/launch.hpp>

namespace qtk::boundary {

/// Before the first access to memory of a kernel that launch_early() starts.
__device__ inline void wait_for_earlier_work() {
  asm volatile("griddepcontrol.wait;" ::: "memory");
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
}

/// Starts a kernel while the one before it in the stream ends; the kernel itself waits for that.
template <class... Parameters, class... Arguments>
void launch_early(const char* name, const cuda::Grid& grid, void (*kernel)(Parameters...),
                  Arguments... arguments) {
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = grid.blocks, config.blockDim = grid.threads;
  config.dynamicSmemBytes = grid.shared_bytes, config.stream = grid.stream;
  config.attrs = &attribute, config.numAttrs = 1;
  cuda::check(cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...), name);
  if (cuda::synchronises_launches()) cuda::check(cudaStreamSynchronize(grid.stream), name);
}

}  // namespace qtk::boundary
