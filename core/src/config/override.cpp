#include "config/override.hpp"

#include "config/scalar.hpp"
#include "config/yaml_source.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>
#include <vector>

namespace qtk::config {
namespace {

constexpr const char* kForm = "write  --set section.key=value";
constexpr size_t kMostSegments = 32;

std::string file_of(const std::string& text) { return "--set " + text; }

SourceMark mark_at(const std::string& text, size_t offset) {
  return {file_of(text), 1,
          static_cast<int>(offset) + 1};  // before the value only ASCII is allowed
}

bool is_name(std::string_view segment) {
  const auto is_word = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  };
  return !segment.empty() && std::ranges::all_of(segment, is_word);
}

/// The keys with their places; nothing (and a report) if the text before `=` is no path.
std::optional<std::vector<Node::Key>> split_path(const std::string& text, size_t end,
                                                 Diagnostics& diagnostics) {
  std::vector<Node::Key> keys;
  for (size_t start = 0; start <= end;) {
    const size_t dot = std::min(text.find('.', start), end);
    const std::string segment = text.substr(start, dot - start);
    if (!is_name(segment) || keys.size() == kMostSegments) {
      diagnostics.error({is_name(segment) ? "the path is too long" : "`" + segment + "` is no key",
                         mark_at(text, start), "", kForm});
      return std::nullopt;
    }
    keys.push_back({segment, mark_at(text, start)});
    start = dot + 1;
  }
  return keys;
}

/// The child that a key addresses, made if it can be made; null (and a report) if there can be
/// none.
Node* descend(Node& parent, const Node::Key& key, const std::string& path,
              Diagnostics& diagnostics) {
  if (parent.is_null()) parent = Node::map(key.mark);
  if (parent.is_map()) {
    if (Node* child = parent.find(key.text)) return child;
    return &parent.append(key, Node::null(key.mark));
  }
  if (!parent.is_sequence()) {
    diagnostics.error(
        {"cannot set `" + child_path(path, key.text) + "`: `" + path + "` is " + found(parent),
         key.mark, child_path(path, key.text), "set `" + path + "` as a whole"});
    return nullptr;
  }
  size_t index = 0;
  const auto [end, error] =
      std::from_chars(key.text.data(), key.text.data() + key.text.size(), index);
  const bool is_number = error == std::errc{} && end == key.text.data() + key.text.size();
  if (is_number && index < parent.items().size()) return &parent.items()[index];
  diagnostics.error({"cannot set `" + child_path(path, key.text) + "`: `" + path +
                         "` is a list of " + std::to_string(parent.items().size()) + " elements",
                     key.mark, child_path(path, key.text), "elements count from 0"});
  return nullptr;
}

}  // namespace

void apply_override(const std::string& text, Node& root, Diagnostics& diagnostics) {
  const size_t equals = text.find('=');
  if (equals == text.npos) {
    diagnostics.error({"`" + text + "` is no assignment", mark_at(text, 0), "", kForm});
    return;
  }
  const auto keys = split_path(text, equals, diagnostics);
  if (!keys) return;
  const std::string path = text.substr(0, equals);
  const YamlOrigin origin{file_of(text), static_cast<int>(equals) + 2, path};
  const auto value = parse_yaml(std::string_view(text).substr(equals + 1), origin, diagnostics);
  if (!value) return;
  if (value->is_null()) {
    diagnostics.error({"no value for `" + path + "`", mark_at(text, equals + 1), path,
                       "for an empty text write  " + path + "='\"\"'"});
    return;
  }
  Node* place = &root;
  std::string walked;
  for (const Node::Key& key : *keys) {
    place = descend(*place, key, walked, diagnostics);
    if (!place) return;
    walked = child_path(walked, key.text);
  }
  *place = *value;
}

}  // namespace qtk::config
