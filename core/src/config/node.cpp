#include "config/node.hpp"

#include <qtk/runtime/check.hpp>

#include <algorithm>
#include <charconv>
#include <unordered_map>
#include <utility>

namespace qtk::config {
namespace {

bool names_another_plugin(const Node& base, const Node& over) {
  const Node* before = base.find("use");
  const Node* after = over.find("use");
  return before && after && before->is_scalar() && after->is_scalar() &&
         before->text() != after->text();
}

}  // namespace

std::string to_string(const SourceMark& mark) {
  if (mark.line == 0) return mark.file;
  return mark.file + ":" + std::to_string(mark.line) + ":" + std::to_string(mark.column);
}

Node Node::null(SourceMark mark) {
  Node node;
  node.mark_ = std::move(mark);
  return node;
}

Node Node::scalar(std::string text, ScalarStyle style, SourceMark mark) {
  Node node = null(std::move(mark));
  node.kind_ = NodeKind::kScalar;
  node.assign(std::move(text), style);
  return node;
}

Node Node::sequence(SourceMark mark) {
  Node node = null(std::move(mark));
  node.kind_ = NodeKind::kSequence;
  return node;
}

Node Node::map(SourceMark mark) {
  Node node = null(std::move(mark));
  node.kind_ = NodeKind::kMap;
  return node;
}

const Node* Node::find(std::string_view key) const {
  const auto known = std::ranges::find(keys_, key, &Key::text);
  return known == keys_.end() ? nullptr : &items_[static_cast<size_t>(known - keys_.begin())];
}

Node* Node::find(std::string_view key) { return const_cast<Node*>(std::as_const(*this).find(key)); }

Node& Node::append(Key key, Node value) {
  QTK_DCHECK(is_map(), "only a map has keys");
  keys_.push_back(std::move(key));
  return items_.emplace_back(std::move(value));
}

void Node::set(Key key, Node value) {
  const auto known = std::ranges::find(keys_, key.text, &Key::text);
  if (known == keys_.end()) {
    append(std::move(key), std::move(value));
    return;
  }
  items_[static_cast<size_t>(known - keys_.begin())] = std::move(value);
  known->mark = std::move(key.mark);
}

void Node::erase(std::string_view key) {
  const auto known = std::ranges::find(keys_, key, &Key::text);
  if (known == keys_.end()) return;
  items_.erase(items_.begin() + (known - keys_.begin()));
  keys_.erase(known);
}

void Node::merge(Node over) {
  if (!is_map() || !over.is_map() || names_another_plugin(*this, over)) {
    *this = std::move(over);
    return;
  }
  // An index, because a hostile pair of files would make a linear search per key quadratic.
  std::unordered_map<std::string, size_t> places;
  for (size_t i = 0; i < keys_.size(); ++i) places.emplace(keys_[i].text, i);
  for (size_t i = 0; i < over.keys_.size(); ++i) {
    const auto known = places.find(over.keys_[i].text);
    if (known == places.end()) {
      append(std::move(over.keys_[i]), std::move(over.items_[i]));
      continue;
    }
    items_[known->second].merge(std::move(over.items_[i]));
    keys_[known->second].mark = std::move(over.keys_[i].mark);
  }
}

void Node::assign(std::string text, ScalarStyle style) {
  text_ = std::move(text);
  style_ = style;
}

int64_t count_nodes(const Node& node) {
  int64_t count = 1 + static_cast<int64_t>(node.keys().size());
  for (const Node& item : node.items()) count += count_nodes(item);
  return count;
}

std::string child_path(const std::string& path, std::string_view key) {
  return path.empty() ? std::string(key) : path + "." + std::string(key);
}

std::string child_path(const std::string& path, size_t index) {
  return child_path(path, std::to_string(index));
}

const Node* find_path(const Node& root, std::string_view path) {
  const Node* node = &root;
  while (node && !path.empty()) {
    const size_t dot = path.find('.');
    const std::string_view part = path.substr(0, dot);
    path = dot == path.npos ? std::string_view{} : path.substr(dot + 1);
    if (node->is_sequence()) {
      size_t index = 0;
      const auto [end, error] = std::from_chars(part.begin(), part.end(), index);
      const bool is_element =
          error == std::errc{} && end == part.end() && index < node->items().size();
      node = is_element ? &node->items()[index] : nullptr;
    } else {
      node = node->find(part);
    }
  }
  return node;
}

}  // namespace qtk::config
