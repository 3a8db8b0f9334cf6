// How messages name a plugin.
#pragma once

#include "base/nearest_name.hpp"

#include <qtk/runtime/error.hpp>

#include <filesystem>
#include <string>
#include <string_view>

namespace qtk::plugin {

struct PluginName {
  std::string kind;
  std::string id;
  std::filesystem::path file;  // canonical
};

/// "plugin 'rtn' (quantizer)"
std::string to_string(const PluginName& name);

/// "plugin 'rtn' (quantizer) <what>", and the file on a line of its own.
PluginError plugin_error(const PluginName& name, std::string_view what, std::string remedy);

/// Lower snake case that begins with a letter.
bool is_plugin_id(std::string_view text);

}  // namespace qtk::plugin
