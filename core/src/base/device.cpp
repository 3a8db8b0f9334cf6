#include "base/device.hpp"

#include <qtk/runtime/error.hpp>
#include <qtk/runtime/stream.hpp>

#include <ATen/Context.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <c10/util/Exception.h>
#include <dlfcn.h>

#include <string>

namespace qtk {
namespace {

/// Empty if CUDA can be used, else why not. Opening registers LibTorch's CUDA operators; it happens
/// once.
const std::string& cuda_obstacle() {
  static const auto* obstacle = [] {
    if (!::dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL)) return new std::string(::dlerror());
    if (!at::hasCUDA()) return new std::string("no NVIDIA driver or device answers");
    return new std::string();
  }();
  return *obstacle;
}

/// "cuda" or "cuda:<number>"
c10::Device named_device(std::string_view name) {
  try {
    const c10::Device device{std::string(name)};
    return {c10::kCUDA, device.has_index() ? device.index() : c10::DeviceIndex(0)};
  } catch (const c10::Error&) {
    throw ConfigError("unknown device '" + std::string(name) + "'",
                      "use auto, cpu, cuda or cuda:<number>");
  }
}

/// Kernels that are launched on "the default stream" run on the current device of their thread.
c10::Device made_current(c10::Device device) {
  const c10::impl::VirtualGuardImpl cuda(c10::kCUDA);
  if (const int count = cuda.deviceCount(); device.index() >= count)
    throw Error("device cuda:" + std::to_string(device.index()) + " was asked for, but " +
                    (count == 1 ? "there is cuda:0 alone"
                                : "the last one is cuda:" + std::to_string(count - 1)),
                "name one that exists, or start fewer processes on this machine",
                ExitCode::kEnvironment, "device");
  cuda.setDevice(device);
  return device;
}

}  // namespace

c10::Device open_device(std::string_view name) {
  if (name == "cpu") return c10::kCPU;
  if (name == "auto")
    return cuda_is_available() ? made_current({c10::kCUDA, 0}) : c10::Device(c10::kCPU);
  if (!name.starts_with("cuda"))
    throw ConfigError("unknown device '" + std::string(name) + "'",
                      "use auto, cpu, cuda or cuda:<number>");
  if (!cuda_is_available())
    throw Error("device " + std::string(name) + " was asked for, but " + cuda_obstacle(),
                "use device: cpu, or check the driver with `qtk doctor`", ExitCode::kEnvironment,
                "device");
  return made_current(named_device(name));
}

void* current_stream(c10::Device device) {
  if (!device.is_cuda()) return nullptr;
  return c10::impl::VirtualGuardImpl(device.type()).getStream(device).native_handle();
}

bool cuda_is_available() { return cuda_obstacle().empty(); }

int64_t peak_device_bytes(c10::Device device) {
  if (!device.is_cuda()) return 0;
  const auto stats = c10::getDeviceAllocator(device.type())->getDeviceStats(device.index());
  constexpr auto kAll = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
  return stats.allocated_bytes[kAll].peak;
}

}  // namespace qtk
