#include "text/byte_level.hpp"

#include "text/utf8.hpp"

#include <array>
#include <cstdint>

namespace qtk::text {
namespace {

constexpr char32_t kFirstSubstitute = 0x100;
constexpr char32_t kAlphabetEnd = 0x144;  // 68 bytes are not printable Latin-1

constexpr bool stands_for_itself(int byte) {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

struct Alphabet {
  std::array<std::array<char, 2>, 256> spelling{};
  std::array<uint8_t, 256> length{};
  std::array<int16_t, kAlphabetEnd> byte_of{};

  Alphabet() {
    byte_of.fill(-1);
    char32_t substitute = kFirstSubstitute;
    for (int byte = 0; byte < 256; ++byte) {
      const char32_t c = stands_for_itself(byte) ? static_cast<char32_t>(byte) : substitute++;
      std::string text;
      append_utf8(c, text);
      text.copy(spelling[byte].data(), text.size());
      length[byte] = static_cast<uint8_t>(text.size());
      byte_of[c] = static_cast<int16_t>(byte);
    }
  }
};

const Alphabet& alphabet() {
  static const Alphabet instance;
  return instance;
}

}  // namespace

void append_byte_level(std::string_view bytes, std::string& out) {
  const Alphabet& letters = alphabet();
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    out.append(letters.spelling[byte].data(), letters.length[byte]);
  }
}

bool append_bytes_of(std::string_view spelled, std::string& bytes) {
  const Alphabet& letters = alphabet();
  const size_t before = bytes.size();
  for (size_t i = 0; i < spelled.size(); i += utf8_length(spelled[i])) {
    const char32_t c = decode_utf8(spelled.data() + i);
    if (c >= kAlphabetEnd || letters.byte_of[c] < 0) {
      bytes.resize(before);
      return false;
    }
    bytes += static_cast<char>(letters.byte_of[c]);
  }
  return true;
}

}  // namespace qtk::text
