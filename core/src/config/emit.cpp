#include "config/emit.hpp"

#include "config/scalar.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace qtk::config {
namespace {

constexpr size_t kLongestLine = 100;

bool is_plain_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '.' || c == '/';
}

/// Characters that mean nothing to YAML anywhere inside a plain word; fewer than YAML allows.
bool is_plain(std::string_view text) {
  const auto is_word = [](char c) {
    return is_plain_start(c) || c == '-' || c == '+' || c == '=' || c == '@';
  };
  return !text.empty() && is_plain_start(text.front()) && std::ranges::all_of(text, is_word);
}

bool is_plain_number(std::string_view text) {
  return text.size() > 1 && (text.front() == '-' || text.front() == '+') &&
         is_plain(text.substr(1)) && looks_typed(text);
}

/// `${` -> `$${`, which interpolation turns back.
std::string escape_references(std::string_view text) {
  std::string escaped;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text.substr(i).starts_with("${")) escaped += '$';
    escaped += text[i];
  }
  return escaped;
}

std::string quote(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string quoted = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      quoted += {'\\', c};
    else if (c == '\n')
      quoted += "\\n";
    else if (c == '\t')
      quoted += "\\t";
    else if (byte < 0x20 || byte == 0x7f)
      quoted += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
    else
      quoted += c;
  }
  return quoted + '"';
}

/// Only a text can have been meant. Of a word out of the environment that is true for all but true
/// and false.
bool must_be_quoted(const Node& node) {
  const std::string& text = node.text();
  if (node.style() == ScalarStyle::kQuoted || is_null_word(text)) return true;
  return node.style() == ScalarStyle::kUntyped && is_bool_word(text) && text != "true" &&
         text != "false";
}

std::string scalar_yaml(const Node& node) {
  const std::string text = escape_references(node.text());
  const bool may_be_plain = is_plain(text) || is_plain_number(text);
  return may_be_plain && !must_be_quoted(node) ? text : quote(text);
}

std::string key_yaml(const std::string& key) {
  return is_plain(key) && !looks_typed(key) ? key : quote(key);
}

bool is_short_list(const Node& node) {
  if (!node.is_sequence()) return false;
  size_t length = 0;
  for (const Node& item : node.items()) {
    if (!item.is_scalar()) return false;
    length += item.text().size() + 4;
  }
  return length <= kLongestLine / 2;
}

bool fits_on_key_line(const Node& node) {
  return node.is_null() || node.is_scalar() || node.items().empty() || is_short_list(node);
}

std::string inline_yaml(const Node& node) {
  if (node.is_null()) return "null";
  if (node.is_scalar()) return scalar_yaml(node);
  if (node.is_map()) return "{}";
  std::string text = "[";
  for (size_t i = 0; i < node.items().size(); ++i)
    text += (i ? ", " : "") + scalar_yaml(node.items()[i]);
  return text + "]";
}

/// Writes a map or a long list; `first_indent` is what already stands on the first line.
void write_block(const Node& node, size_t indent, bool has_first_indent, std::string& out) {
  const std::string spaces(indent, ' ');
  for (size_t i = 0; i < node.items().size(); ++i) {
    const Node& item = node.items()[i];
    if (i || !has_first_indent) out += spaces;
    out += node.is_map() ? key_yaml(node.keys()[i].text) + ":" : "-";
    if (fits_on_key_line(item)) {
      out += " " + inline_yaml(item) + "\n";
    } else if (node.is_map()) {
      out += "\n";
      write_block(item, indent + 2, false, out);
    } else {
      out += " ";
      write_block(item, indent + 2, true, out);
    }
  }
}

template <class T>
Node list_node(const std::vector<T>& values) {
  Node list = Node::sequence();
  for (const T& value : values) list.append(value_node(value));
  return list;
}

}  // namespace

std::string to_yaml(const Node& node) {
  if (fits_on_key_line(node)) return inline_yaml(node) + "\n";
  std::string out;
  write_block(node, 0, false, out);
  return out;
}

std::string yaml_text(std::string_view text) {
  return is_plain(text) && !looks_typed(text) ? std::string(text) : quote(escape_references(text));
}

Node value_node(const OptionValue& value) {
  if (const auto* text = std::get_if<std::string>(&value))
    return Node::scalar(*text, looks_typed(*text) ? ScalarStyle::kQuoted : ScalarStyle::kPlain);
  if (const auto* ints = std::get_if<std::vector<int64_t>>(&value)) return list_node(*ints);
  if (const auto* reals = std::get_if<std::vector<double>>(&value)) return list_node(*reals);
  if (const auto* texts = std::get_if<std::vector<std::string>>(&value)) return list_node(*texts);
  return Node::scalar(option_value_text(value));
}

bool is_unset(const OptionValue& value) {
  const auto* real = std::get_if<double>(&value);
  if (real) return !std::isfinite(*real);
  const auto is_empty = [](const auto& held) {
    if constexpr (requires { held.empty(); })
      return held.empty();
    else
      return false;
  };
  return std::visit(is_empty, value);
}

Node options_node(const OptionTable& table, const OptionValues& values) {
  Node map = Node::map();
  for (const OptionSpec& spec : table.specs) {
    const auto given = values.find(spec.name);
    const bool is_given = given != values.end();
    if (is_given || (!is_unset(spec.default_value) && spec.deprecated.empty()))
      map.append({spec.name, {}}, value_node(is_given ? given->second : spec.default_value));
  }
  return map;
}

}  // namespace qtk::config
