// UTF-8: checked reading of bytes from outside, and unchecked steps over text known to be valid.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace qtk::text {

/// Length of the longest prefix that is well-formed UTF-8 (no surrogates, nothing overlong, at most
/// U+10FFFF).
size_t valid_utf8_prefix(std::string_view bytes);

/// Each maximal part of an ill-formed sequence becomes one U+FFFD, the practice of WHATWG, Python
/// and Rust.
std::string replace_invalid_utf8(std::string_view bytes);

void append_utf8(char32_t code_point, std::string& out);

/// Bytes of the sequence that starts with `lead`; the text must be valid.
inline int utf8_length(char lead) {
  const auto byte = static_cast<unsigned char>(lead);
  return byte < 0x80 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
}

/// The code point at `at`, which must be the start of a valid sequence.
inline char32_t decode_utf8(const char* at) {
  const auto* b = reinterpret_cast<const unsigned char*>(at);
  if (b[0] < 0x80) return b[0];
  if (b[0] < 0xe0) return (b[0] & 0x1fu) << 6 | (b[1] & 0x3fu);
  if (b[0] < 0xf0) return (b[0] & 0x0fu) << 12 | (b[1] & 0x3fu) << 6 | (b[2] & 0x3fu);
  return (b[0] & 0x07u) << 18 | (b[1] & 0x3fu) << 12 | (b[2] & 0x3fu) << 6 | (b[3] & 0x3fu);
}

/// Unicode's White_Space, in ASCII and beyond it.
bool is_white_space(char32_t code_point);

}  // namespace qtk::text
