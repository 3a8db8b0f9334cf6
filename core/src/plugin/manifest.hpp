// What a plugin says about itself, read out of its file without opening it: no code of the plugin
// runs, and no content of the file can crash the reader.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>

namespace qtk::plugin {

/// "key=value;" pairs of QTK_FINGERPRINT.
using Fingerprint = std::map<std::string, std::string, std::less<>>;

struct Manifest {
  std::string kind;     // quantizer, scheduler, estimator, search or comm
  std::string name;     // lower snake case
  std::string version;  // of the plugin
  std::string summary;
  std::string paper;  // may be empty
  Fingerprint build;
};

/// The kinds, in the order in which they are listed.
std::span<const std::string> plugin_kinds();

/// A file, or a copy of one in memory.
struct ByteSource {
  uint64_t size = 0;
  /// Fills `out` from `offset`; only called for ranges inside `size`. False if that fails.
  std::function<bool(uint64_t offset, std::span<std::byte> out)> read;
};

/// Section `.qtk_manifest` of a 64-bit little-endian x86-64 shared library. Time and memory are
/// bounded by small constants whatever the file holds.
/// @throws PluginError with what is wrong with the file; `file` is only named
Manifest read_manifest(const ByteSource& source, const std::filesystem::path& file);
/// @throws PluginError also if the file cannot be opened or is not regular
Manifest read_manifest(const std::filesystem::path& file);

/// "a=1;b=2" -> {a: 1, b: 2}; parts without '=' are dropped.
Fingerprint parse_fingerprint(std::string_view text);

}  // namespace qtk::plugin
