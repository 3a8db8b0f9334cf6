// What a CUDA device can run.
#pragma once

#include <optional>

namespace qtk::cuda {

struct ComputeCapability {
  int major = 0;
  int minor = 0;
};

/// {9, 0} for an H100. Nothing if libqtk was built without CUDA.
/// @throws Error (kEnvironment) if the device does not answer
std::optional<ComputeCapability> compute_capability(int device);

}  // namespace qtk::cuda
