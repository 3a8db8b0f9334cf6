// Hashes: XXH3 for fingerprints (not against an adversary), SHA-256 where another tool compares.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace qtk {

/// 32 hexadecimal digits of XXH3-128.
std::string fingerprint(std::string_view bytes);
/// The same over a file's content. @throws DataError
std::string fingerprint_file(const std::filesystem::path& path);
/// 64 hexadecimal digits.
std::string sha256(std::span<const std::byte> bytes);

}  // namespace qtk
