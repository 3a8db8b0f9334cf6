// Names the plugin in errors that its code throws.
#pragma once

#include "plugin/plugin_name.hpp"

#include <qtk/runtime/error.hpp>

#include <string>
#include <string_view>
#include <utility>

namespace qtk::plugin {

/// Throws the error class that belongs to a code, so that handlers by class keep working.
[[noreturn]] void throw_as(ExitCode code, const std::string& sentence, std::string remedy);

/// Only inside a handler: rethrows what is being handled as a qtk::Error of the same code whose
/// sentence begins with "plugin 'x' (kind), <method>: ". Exceptions of LibTorch lose their C++
/// backtrace; running out of memory keeps its code. An error that already names the plugin passes
/// unchanged.
[[noreturn]] void rethrow_naming(const PluginName& name, std::string_view method);

/// Runs `function`, which calls into the plugin: `guarded(name, "forward", [&] { return
/// linear.forward(x); })`.
template <class Function>
decltype(auto) guarded(const PluginName& name, std::string_view method, Function&& function) {
  try {
    return std::forward<Function>(function)();
  } catch (...) {
    rethrow_naming(name, method);
  }
}

}  // namespace qtk::plugin
