// The tree of a configuration: what the YAML says, before anything is typed. Every value and every
// key knows where it was written, and keeps that place through includes and overrides.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace qtk::config {

/// Where something was written. Lines and columns count from 1, columns in characters. Line 0:
/// nowhere in particular.
struct SourceMark {
  std::string file;  // as the user named it; "--set a.b=c" for an override
  int line = 0;
  int column = 0;

  auto operator<=>(const SourceMark&) const = default;
};

/// "exp/hestia.yaml:14:43"
std::string to_string(const SourceMark& mark);

enum class NodeKind { kNull, kScalar, kSequence, kMap };

enum class ScalarStyle {
  kPlain,       // typed by its text: 4 is a number
  kQuoted,      // text, whatever it looks like
  kUntyped,     // out of the environment or of several parts: whatever type is asked for
  kUnresolved,  // a reference that failed and was reported; readers pass over it
};

/// A value: copies are deep. Maps keep the order of their keys.
class Node {
 public:
  struct Key {
    std::string text;
    SourceMark mark;
  };

  Node() = default;  // null
  static Node null(SourceMark mark);
  static Node scalar(std::string text, ScalarStyle style = ScalarStyle::kPlain,
                     SourceMark mark = {});
  static Node sequence(SourceMark mark = {});
  static Node map(SourceMark mark = {});

  NodeKind kind() const { return kind_; }
  bool is_null() const { return kind_ == NodeKind::kNull; }
  bool is_scalar() const { return kind_ == NodeKind::kScalar; }
  bool is_sequence() const { return kind_ == NodeKind::kSequence; }
  bool is_map() const { return kind_ == NodeKind::kMap; }
  /// Scalars: the text between the quotes; else empty.
  const std::string& text() const { return text_; }
  ScalarStyle style() const { return style_; }
  const SourceMark& mark() const { return mark_; }

  /// Elements of a sequence, or values of a map in the order of keys(); else empty.
  const std::vector<Node>& items() const { return items_; }
  std::vector<Node>& items() { return items_; }
  /// Keys of a map; else empty.
  const std::vector<Key>& keys() const { return keys_; }
  /// The value of a map's key, or null if this is no map or has no such key.
  const Node* find(std::string_view key) const;
  Node* find(std::string_view key);

  /// Appends to a sequence.
  void append(Node item) { items_.push_back(std::move(item)); }
  /// Appends to a map a key that it does not have.
  Node& append(Key key, Node value);
  /// Replaces a map's value (and the place of its key), or appends it.
  void set(Key key, Node value);
  /// Removes a map's key if it is there.
  void erase(std::string_view key);
  /// Lays `over` onto this: maps are merged key by key, everything else is replaced. Two plugin
  /// nodes with different `use:` are not merged, because the options of one mean nothing to the
  /// other.
  void merge(Node over);
  /// Gives a scalar another text.
  void assign(std::string text, ScalarStyle style);

 private:
  NodeKind kind_ = NodeKind::kNull;
  ScalarStyle style_ = ScalarStyle::kPlain;
  std::string text_;
  SourceMark mark_;
  std::vector<Key> keys_;
  std::vector<Node> items_;
};

/// This node and all below it; a key and its value count as two.
int64_t count_nodes(const Node& node);

/// "a" + "b" -> "a.b"; the root's path is empty.
std::string child_path(const std::string& path, std::string_view key);
std::string child_path(const std::string& path, size_t index);

/// What stands at a dotted path ("variants.0.name"), or null.
const Node* find_path(const Node& root, std::string_view path);

}  // namespace qtk::config
