// Markup as a type of its own, so that a string can only reach the page escaped and every tag is
// closed by construction. The same elements serve HTML and the SVG inside it; the result is
// well-formed as XML too.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace qtk::report {

/// Escaped for text and for quoted attributes. Control characters and broken UTF-8 become U+FFFD.
std::string escape(std::string_view text);

/// A piece of a page that needs no more escaping. Made only by the functions below.
class Markup {
 public:
  Markup() = default;

  const std::string& str() const { return source_; }
  bool empty() const { return source_.empty(); }
  Markup& operator+=(const Markup& more);
  friend Markup operator+(Markup left, const Markup& right) { return std::move(left += right); }

  /// Takes `source` as it is. For constants of this room (the style sheet), never for data.
  static Markup trusted(std::string source);

 private:
  std::string source_;
};

/// Names are constants of this room; values are escaped.
struct Attribute {
  std::string_view name;
  std::string value;
};
using Attributes = std::initializer_list<Attribute>;

Markup text(std::string_view content);
/// A path or a dotted name that may be broken after each '.' and '/'.
Markup breakable(std::string_view name);
/// <name ...>content</name>
Markup element(std::string_view name, Attributes attributes, const Markup& content);
Markup element(std::string_view name, Attributes attributes, std::string_view content);
/// <name .../>, for void elements of HTML and shapes of SVG
Markup empty_element(std::string_view name, Attributes attributes);

/// A number shown rounded that carries its exact value: <data value="20.913412">20.91</data>.
Markup number(double value, std::string_view shown);

/// A dash for the eye and `reason` for a screen reader.
Markup absent(std::string_view reason);

}  // namespace qtk::report
