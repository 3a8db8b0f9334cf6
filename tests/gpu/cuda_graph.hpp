// A captured CUDA graph of what a function launches on LibTorch's current stream.
#pragma once

#include <qtk/runtime/check.hpp>
#include <qtk/runtime/stream.hpp>

#include <ATen/core/Tensor.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <cuda_runtime_api.h>

namespace qtk::testing {

class CudaGraph {
 public:
  /// Captures `work` on a stream of its own, after two calls that let LibTorch's allocator take
  /// what `work` needs. A host synchronisation in `work` makes the capture fail.
  template <class Work>
  CudaGraph(at::Device device, const Work& work)
      : stream_(c10::impl::VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device)) {
    const c10::StreamGuard guard(stream_);
    work();
    work();
    stream_.synchronize();
    auto* stream = static_cast<cudaStream_t>(current_stream(device));
    cudaGraph_t graph = nullptr;
    check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    work();
    check(cudaStreamEndCapture(stream, &graph));
    check(cudaGraphInstantiate(&executable_, graph, 0));
    check(cudaGraphDestroy(graph));
  }
  ~CudaGraph() { cudaGraphExecDestroy(executable_); }
  CudaGraph(const CudaGraph&) = delete;
  CudaGraph& operator=(const CudaGraph&) = delete;

  /// On LibTorch's current stream.
  void replay() const {
    check(
        cudaGraphLaunch(executable_, static_cast<cudaStream_t>(current_stream(stream_.device()))));
  }

 private:
  static void check(cudaError_t status) {
    QTK_CHECK(status == cudaSuccess, "CUDA graph: ", cudaGetErrorString(status));
  }

  const c10::Stream stream_;
  cudaGraphExec_t executable_ = nullptr;
};

}  // namespace qtk::testing
