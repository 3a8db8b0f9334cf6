#include "report/html.hpp"

#include "report/number.hpp"

#include <algorithm>
#include <cstdint>

namespace qtk::report {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

/// Bytes of the well-formed UTF-8 sequence that `text` starts with, or 0. Table 3-7 of the Unicode
/// standard.
size_t sequence_length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = byte(0);
  if (first < 0x80) return 1;
  const size_t length = first < 0xC2   ? 0
                        : first < 0xE0 ? 2
                        : first < 0xF0 ? 3
                        : first < 0xF5 ? 4
                                       : 0;
  if (length == 0 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  const uint8_t low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;  // no overlong forms
  const uint8_t high = first == 0xED   ? 0x9F
                       : first == 0xF4 ? 0x8F
                                       : 0xBF;  // no surrogates, none past U+10FFFF
  return byte(1) >= low && byte(1) <= high ? length : 0;
}

std::string_view escaped_form(char c) {
  switch (c) {
    case '&':
      return "&amp;";
    case '<':
      return "&lt;";
    case '>':
      return "&gt;";
    case '"':
      return "&quot;";
    case '\'':
      return "&#39;";
    default:
      return {};
  }
}

bool is_control(char c) {
  return (static_cast<uint8_t>(c) < 0x20 && c != '\n' && c != '\t') || c == 0x7F;
}

std::string opening(std::string_view name, Attributes attributes) {
  std::string tag = "<" + std::string(name);
  for (const auto& [key, value] : attributes) {
    tag.append(" ").append(key).append("=\"").append(escape(value)).append("\"");
  }
  return tag;
}

}  // namespace

std::string escape(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const size_t length = sequence_length(text);
    const auto form = escaped_form(text.front());
    if (length == 0 || is_control(text.front())) {
      out += kReplacement;
    } else if (!form.empty()) {
      out += form;
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return out;
}

Markup& Markup::operator+=(const Markup& more) {
  source_ += more.source_;
  return *this;
}

Markup Markup::trusted(std::string source) {
  Markup markup;
  markup.source_ = std::move(source);
  return markup;
}

Markup text(std::string_view content) { return Markup::trusted(escape(content)); }

Markup breakable(std::string_view name) {
  Markup parts;
  while (!name.empty()) {
    const size_t length = std::min(name.find_first_of("./"), name.size() - 1) + 1;
    parts += text(name.substr(0, length));
    name.remove_prefix(length);
    if (!name.empty()) parts += empty_element("wbr", {});
  }
  return parts;
}

Markup element(std::string_view name, Attributes attributes, const Markup& content) {
  auto source = opening(name, attributes);
  source.append(">").append(content.str()).append("</").append(name).append(">");
  return Markup::trusted(std::move(source));
}

Markup element(std::string_view name, Attributes attributes, std::string_view content) {
  return element(name, attributes, text(content));
}

Markup empty_element(std::string_view name, Attributes attributes) {
  return Markup::trusted(opening(name, attributes) + "/>");
}

Markup number(double value, std::string_view shown) {
  return element("data", {{"value", exact(value)}}, shown);
}

Markup absent(std::string_view reason) {
  return element("span", {{"class", "none"}, {"aria-hidden", "true"}}, "\u2013") +
         element("span", {{"class", "unseen"}}, reason);
}

}  // namespace qtk::report
