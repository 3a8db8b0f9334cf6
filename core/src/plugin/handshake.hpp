// Whether a plugin was built for this qtk. C++ and LibTorch promise no stable binary interface, so
// what differs is refused before the file is opened.
//
//   field           rule                                         else
//   qtk_api         same major, plugin's minor not above ours    refused
//   torch           equal                                        refused
//   loaded LibTorch equal to the one we were compiled for        refused (a stray library path)
//   cxx11abi stdlib equal                                        refused
//   cuda            same major where both have one               refused
//   compiler cxxstd equal                                        warned about
#pragma once

#include "plugin/manifest.hpp"
#include "plugin/plugin_name.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace qtk::plugin {

/// This process.
struct Host {
  Fingerprint build;         // of libqtk.so
  std::string loaded_torch;  // version of the LibTorch that was loaded; empty: unknown
};
const Host& this_host();

/// One field that differs.
struct Mismatch {
  std::string what;  // "LibTorch"
  std::string key;   // "torch"
  std::string expected;
  std::string found;
};

struct Handshake {
  std::vector<Mismatch> refusals;
  std::vector<Mismatch> warnings;
};

Handshake compare(const Host& host, const Manifest& manifest);

/// Logs warnings. @throws PluginError that lists every refusal
void require_compatible(const Host& host, const PluginName& name, const Manifest& manifest);

/// True if code for `architectures` ("90a,100-virtual", as CMake spells them) runs on a device of
/// this compute capability.
bool runs_on(std::string_view architectures, int major, int minor);

}  // namespace qtk::plugin
