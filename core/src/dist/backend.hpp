// What ProcessGroup needs of c10d, made for one kind of device.
#pragma once

#include "dist/store_handle.hpp"
#include "dist/timeouts.hpp"

#include <c10/core/Device.h>
#include <torch/csrc/distributed/c10d/Backend.hpp>

#include <string>

namespace qtk::dist {

struct BackendSetup {
  c10::intrusive_ptr<c10d::Store> store;  // keys of this group only
  int position = 0, size = 1;
  std::chrono::milliseconds timeout;
  std::string interface;       // Gloo
  std::string master_address;  // Gloo: whose network is used if no interface is named
  c10::Device device = c10::kCPU;
};

c10::intrusive_ptr<c10d::Backend> make_gloo_backend(const BackendSetup& setup);
/// Opens libqtk_nccl.so. @throws Error(kEnvironment) if there is none
c10::intrusive_ptr<c10d::Backend> make_nccl_backend(const BackendSetup& setup);

}  // namespace qtk::dist
