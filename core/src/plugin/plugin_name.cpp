#include "plugin/plugin_name.hpp"

#include <algorithm>
#include <utility>

namespace qtk::plugin {

std::string to_string(const PluginName& name) {
  return "plugin '" + name.id + "' (" + name.kind + ")";
}

PluginError plugin_error(const PluginName& name, std::string_view what, std::string remedy) {
  return PluginError(
      to_string(name) + " " + std::string(what) + "\n  file      " + name.file.string(),
      std::move(remedy));
}

bool is_plugin_id(std::string_view text) {
  const auto is_lower = [](char c) { return c >= 'a' && c <= 'z'; };
  const auto may_follow = [&](char c) { return is_lower(c) || (c >= '0' && c <= '9') || c == '_'; };
  return !text.empty() && is_lower(text.front()) && std::ranges::all_of(text, may_follow);
}

}  // namespace qtk::plugin
