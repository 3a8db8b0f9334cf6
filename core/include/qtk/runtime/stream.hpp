// The stream on which CUDA work of the calling thread belongs.
#pragma once

#include <qtk/runtime/export.hpp>

#include <c10/core/Device.h>

namespace qtk {

/// A cudaStream_t: LibTorch's current stream of `device`. Null on the CPU.
QTK_API void* current_stream(c10::Device device);

}  // namespace qtk
