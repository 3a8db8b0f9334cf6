// GPT-2's alphabet for bytes: each of the 256 bytes is spelled as one printable character, so that
// vocabularies are readable text (U+0120 is the space).
#pragma once

#include <string>
#include <string_view>

namespace qtk::text {

/// Appends the spelling of every byte.
void append_byte_level(std::string_view bytes, std::string& out);

/// Undoes it. False, with `bytes` as it was, if a character is not of the alphabet.
bool append_bytes_of(std::string_view spelled, std::string& bytes);

}  // namespace qtk::text
