#include "device_timer.hpp"

#include <qtk/runtime/check.hpp>
#include <qtk/runtime/stream.hpp>

#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <vector>

namespace qtk {
namespace {

constexpr int kWarmUps = 3, kRounds = 21;

void check(cudaError_t status) {
  QTK_CHECK(status == cudaSuccess, "CUDA: ", cudaGetErrorString(status));
}

cudaStream_t stream_of(c10::Device device) {
  return static_cast<cudaStream_t>(current_stream(device));
}

/// Milliseconds of the median round.
double median_ms(cudaStream_t stream, const std::function<void()>& round) {
  cudaEvent_t begin = nullptr, end = nullptr;
  check(cudaEventCreate(&begin));
  check(cudaEventCreate(&end));
  for (int i = 0; i < kWarmUps; ++i) round();
  std::vector<float> times(kRounds);
  for (float& time : times) {
    check(cudaEventRecord(begin, stream));
    round();
    check(cudaEventRecord(end, stream));
    check(cudaEventSynchronize(end));
    check(cudaEventElapsedTime(&time, begin, end));
  }
  check(cudaEventDestroy(begin));
  check(cudaEventDestroy(end));
  std::nth_element(times.begin(), times.begin() + kRounds / 2, times.end());
  return times[kRounds / 2];
}

}  // namespace

double eager_us(c10::Device device, const Timed& timed) {
  const auto round = [&] {
    for (int i = 0; i < timed.calls; ++i) timed.work(i);
  };
  return median_ms(stream_of(device), round) * 1000 / timed.calls;
}

double graph_us(c10::Device device, const Timed& timed) {
  const c10::Stream side =
      c10::impl::VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device);
  const c10::StreamGuard guard(side);
  const cudaStream_t stream = stream_of(device);
  const auto round = [&] {
    for (int i = 0; i < timed.calls; ++i) timed.work(i);
  };
  round();
  round();
  side.synchronize();
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed));
  round();
  check(cudaStreamEndCapture(stream, &graph));
  check(cudaGraphInstantiate(&executable, graph, 0));
  const double ms = median_ms(stream, [&] { check(cudaGraphLaunch(executable, stream)); });
  check(cudaGraphExecDestroy(executable));
  check(cudaGraphDestroy(graph));
  return ms * 1000 / timed.calls;
}

}  // namespace qtk
