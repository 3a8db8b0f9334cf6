#include "text/oniguruma.hpp"

#include <algorithm>
#include <array>
#include <cctype>

namespace qtk::text {
namespace {

// Oniguruma counts the superscripts and fractions of Latin-1 as word characters, but not those
// beyond it.
constexpr std::string_view kWordMembers =
    R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{b2}\x{b3}\x{b9}\x{bc}-\x{be})";

/// Properties with long names that are not scripts.
constexpr std::array<std::string_view, 4> kProperties = {"Any", "Alphabetic", "White_Space",
                                                         "Emoji"};

class Translator {
 public:
  Translator(std::string_view expression, const JsonField& where)
      : rest_(expression), where_(where) {}

  std::string translate() {
    while (!rest_.empty()) {
      if (rest_[0] == '\\') {
        escape();
      } else if (in_class_) {
        class_character();
      } else {
        plain_character();
      }
    }
    return std::move(out_);
  }

 private:
  void take(size_t count = 1) {
    out_ += rest_.substr(0, count);
    rest_.remove_prefix(count);
  }

  void put(std::string_view replacement, size_t consumed) {
    out_ += replacement;
    rest_.remove_prefix(consumed);
  }

  [[noreturn]] void refuse(size_t length) {
    where_.fail("uses `" + std::string(rest_.substr(0, length)) +
                "`, which qtk does not translate from Oniguruma");
  }

  void escape() {
    if (rest_.size() < 2) where_.fail("ends in a single backslash");
    switch (const char letter = rest_[1]) {
      case 's':
        return put(R"(\p{White_Space})", 2);
      case 'S':
        return put(R"(\P{White_Space})", 2);
      case 'd':
        return put(R"(\p{Nd})", 2);
      case 'D':
        return put(R"(\P{Nd})", 2);
      case 'w':
        return put(in_class_ ? std::string(kWordMembers) : "[" + std::string(kWordMembers) + "]",
                   2);
      case 'W':
        if (in_class_) refuse(2);
        return put("[^" + std::string(kWordMembers) + "]", 2);
      case 'u':
        if (rest_.size() < 6) refuse(2);
        return put(R"(\x{)" + std::string(rest_.substr(2, 4)) + "}", 6);
      case 'A':
      case 'z':
        if (in_class_) refuse(2);
        return take(2);
      case 'p':
      case 'P':
        return property();
      case 'x':
      case 'n':
      case 'r':
      case 't':
      case 'f':
        return take(2);
      default:
        if (std::isalnum(static_cast<unsigned char>(letter))) refuse(2);
        return take(1 + (static_cast<unsigned char>(letter) < 0x80));
    }
  }

  /// A script's bare name means Script to Oniguruma and Script_Extensions to PCRE2.
  void property() {
    const size_t close = rest_.find('}');
    if (close == rest_.npos || rest_[2] != '{') refuse(2);
    std::string_view name = rest_.substr(3, close - 3);
    const bool is_negated = name.starts_with('^');
    name.remove_prefix(is_negated);
    const bool is_script = name.size() > 2 && std::find(kProperties.begin(), kProperties.end(),
                                                        name) == kProperties.end();
    const std::string start =
        std::string(rest_.substr(0, 3)) + (is_negated ? "^" : "") + (is_script ? "sc:" : "");
    put(start + std::string(name) + "}", close + 1);
  }

  void class_character() {
    if (rest_.starts_with("&&")) refuse(2);
    if (rest_[0] == '[' && !rest_.starts_with("[:")) refuse(1);
    if (rest_.starts_with("[:")) {
      const size_t end = rest_.find(":]");
      if (end == rest_.npos) refuse(2);
      return take(end + 2);
    }
    if (rest_[0] == ']') in_class_ = false;
    take();
  }

  void plain_character() {
    if (rest_[0] == '[') {
      in_class_ = true;
      take(rest_.starts_with("[^") ? 2 : 1);
      if (rest_.starts_with("]")) take();
    } else if (rest_.starts_with("}+") && closes_interval()) {
      refuse(2);
    } else {
      take();
    }
  }

  /// Whether the brace that comes next ends a repetition `{n,m}` rather than `\p{...}`.
  bool closes_interval() const {
    const size_t open = out_.rfind('{');
    if (open == out_.npos) return false;
    return out_.find_first_not_of("0123456789,", open + 1) == out_.npos && open + 1 < out_.size();
  }

  std::string_view rest_;
  const JsonField& where_;
  std::string out_;
  bool in_class_ = false;
};

}  // namespace

std::string pcre2_from_oniguruma(std::string_view expression, const JsonField& where) {
  return Translator(expression, where).translate();
}

}  // namespace qtk::text
