// libqtk_nccl.so: the one file that needs NCCL's headers and LibTorch's CUDA half.
#define USE_C10D_NCCL

#include "dist/backend.hpp"

#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

/// @returns a reference that the caller owns. @throws what c10d throws
extern "C" __attribute__((visibility("default"))) c10d::Backend* qtk_make_nccl_backend(
    const qtk::dist::BackendSetup& setup) {
  auto options = c10d::ProcessGroupNCCL::Options::create(/*is_high_priority_stream=*/true);
  options->timeout = setup.timeout;
  auto group =
      c10::make_intrusive<c10d::ProcessGroupNCCL>(setup.store, setup.position, setup.size, options);
  group->setBoundDeviceId(setup.device);
  return group.release();
}
