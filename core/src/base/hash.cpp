#include "base/hash.hpp"

#include "base/mapped_file.hpp"

#include <qtk/runtime/check.hpp>

#include <openssl/evp.h>
#include <xxhash.h>

#include <array>

namespace qtk {
namespace {

std::string hexadecimal(std::span<const unsigned char> bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

}  // namespace

std::string fingerprint(std::string_view bytes) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes.data(), bytes.size()));
  return hexadecimal(canonical.digest);
}

std::string fingerprint_file(const std::filesystem::path& path) {
  if (std::error_code error;
      std::filesystem::is_regular_file(path, error) && std::filesystem::file_size(path) == 0)
    return fingerprint({});
  const auto file = MappedFile::open(path);
  const auto bytes = file->bytes();
  return fingerprint({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

std::string sha256(std::span<const std::byte> bytes) {
  std::array<unsigned char, 32> digest{};
  unsigned int size = 0;
  const int done =
      EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_sha256(), nullptr);
  QTK_CHECK(done == 1 && size == digest.size(), "SHA-256 failed");
  return hexadecimal(digest);
}

}  // namespace qtk
