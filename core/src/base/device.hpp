// Which device a run uses, and the CUDA half of LibTorch, opened only when a run asks for it: it
// costs half a gigabyte of mappings and every start of the program.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <string_view>

namespace qtk {

/// "cpu", "cuda", "cuda:1" or "auto" (CUDA where a device answers, else CPU). Opens
/// libtorch_cuda.so if needed, and makes a CUDA device the current one of the calling thread.
/// @throws ConfigError for another word, Error(kEnvironment) if CUDA was asked for and cannot be
/// had
c10::Device open_device(std::string_view name);

/// True if libtorch_cuda.so could be opened and a device answers.
bool cuda_is_available();

/// The most bytes that tensors of a device have held at once in this process; 0 on the CPU.
int64_t peak_device_bytes(c10::Device device);

}  // namespace qtk
