// LibTorch has the group, but shows it only on this word.
#define USE_C10D_GLOO

#include "dist/backend.hpp"

#include <qtk/runtime/error.hpp>

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <unistd.h>

namespace qtk::dist {
namespace {

/// The address of this machine from which packets to `host` leave. No packet is sent.
std::string own_address_towards(const std::string& host) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_DGRAM;
  if (::getaddrinfo(host.c_str(), "9", &hints, &found) != 0) return "";
  std::string address;
  for (const addrinfo* each = found; each && address.empty(); each = each->ai_next) {
    const int probe = ::socket(each->ai_family, each->ai_socktype, 0);
    if (probe < 0) continue;
    sockaddr_storage own{};
    socklen_t size = sizeof own;
    char text[NI_MAXHOST];
    if (::connect(probe, each->ai_addr, each->ai_addrlen) == 0 &&
        ::getsockname(probe, reinterpret_cast<sockaddr*>(&own), &size) == 0 &&
        ::getnameinfo(reinterpret_cast<sockaddr*>(&own), size, text, sizeof text, nullptr, 0,
                      NI_NUMERICHOST) == 0)
      address = text;
    ::close(probe);
  }
  ::freeaddrinfo(found);
  return address;
}

/// Only the interface that is needed listens, never all of them.
std::shared_ptr<::gloo::transport::Device> device_of(const BackendSetup& setup) {
  using c10d::ProcessGroupGloo;
  try {
    if (!setup.interface.empty())
      return ProcessGroupGloo::createDeviceForInterface(setup.interface);
  } catch (const std::exception& error) {
    throw ConfigError("dist.interface `" + setup.interface + "` cannot be used: " + error.what(),
                      "`ip address` lists the interfaces of this machine");
  }
  const std::string own = own_address_towards(setup.master_address);
  return own.empty() ? ProcessGroupGloo::createDefaultDevice()
                     : ProcessGroupGloo::createDeviceForHostname(own);
}

}  // namespace

c10::intrusive_ptr<c10d::Backend> make_gloo_backend(const BackendSetup& setup) {
  auto options = c10d::ProcessGroupGloo::Options::create(setup.timeout);
  options->devices.push_back(device_of(setup));
  options->threads = 2;
  return c10::make_intrusive<c10d::ProcessGroupGloo>(setup.store, setup.position, setup.size,
                                                     options);
}

}  // namespace qtk::dist
