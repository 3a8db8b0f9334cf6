// How a configuration names a plugin: {use: id, options: {...}}.
#pragma once

#include "config/section.hpp"

#include <algorithm>
#include <cstddef>
#include <string>

namespace qtk::config {

/// Declares the two keys in a struct that has members `use` and `options`.
template <class T>
void describe_use(OptionSet<T>& o, const std::string& kind) {
  o.field("use", &T::use).doc("Id of the " + kind + ".");
}
template <class T>
void declare_plugin(SectionSet<T>& s, const std::string& kind) {
  s.require("use");
  s.plugin_options("options", &T::options, kind)
      .doc("Options of the " + kind + "; `qtk describe` lists them.");
}

/// A word as a template argument.
template <std::size_t N>
struct KindName {
  constexpr KindName(const char (&word)[N]) {
    std::copy_n(word, N, text);
  }  // NOLINT: "scheduler" should convert
  char text[N] = {};
};

/// A section that holds a plugin and nothing else: std::optional<PluginNode<"scheduler">>
/// scheduler; `options` stays a node until the plugin's table is known; then resolve_options(table,
/// &node.options, node.path + ".options", "scheduler `" + node.use + "`", diagnostics).
template <KindName kKind>
struct PluginNode {
  std::string use;
  Node options = Node::map();
  SourceMark mark;   // of the node
  std::string path;  // of the node, dotted

  static void describe(OptionSet<PluginNode>& o) { describe_use(o, kKind.text); }
  static void sections(SectionSet<PluginNode>& s) { declare_plugin(s, kKind.text); }
};

}  // namespace qtk::config
