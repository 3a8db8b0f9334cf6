// Checked CUDA calls and launches, for .cu files (no LibTorch in here). A failed launch is reported
// where it happened and by the kernel's name, not by the next innocent call.
#pragma once

#include <qtk/runtime/error.hpp>

#include <cuda_runtime.h>

#include <cstdlib>
#include <string>
#include <utility>

namespace qtk::cuda {

inline void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  const bool is_memory = status == cudaErrorMemoryAllocation;
  throw Error(std::string(what) + ": " + cudaGetErrorString(status),
              is_memory ? "use a smaller batch"
                        : "run again with QTK_SYNC_LAUNCHES=1 to find the kernel at fault",
              is_memory ? ExitCode::kMemory : ExitCode::kFailed, "cuda");
}

/// Set QTK_SYNC_LAUNCHES=1 to wait for every kernel and so to learn which one fails.
inline bool synchronises_launches() {
  static const bool value = [] {
    const char* text = std::getenv("QTK_SYNC_LAUNCHES");
    return text && *text == '1';
  }();
  return value;
}

struct Grid {
  dim3 blocks, threads;
  size_t shared_bytes = 0;
  cudaStream_t stream = nullptr;
};

/// Starts `kernel`; `name` is for messages.
template <class... Parameters, class... Arguments>
void launch(const char* name, const Grid& grid, void (*kernel)(Parameters...),
            Arguments&&... arguments) {
  kernel<<<grid.blocks, grid.threads, grid.shared_bytes, grid.stream>>>(
      std::forward<Arguments>(arguments)...);
  check(cudaGetLastError(), name);
  if (synchronises_launches()) check(cudaStreamSynchronize(grid.stream), name);
}

}  // namespace qtk::cuda

#define QTK_CUDA_CHECK(call) ::qtk::cuda::check((call), #call)
