#include "plugin/manifest.hpp"

#include "plugin/elf_section.hpp"
#include "plugin/plugin_name.hpp"

#include <qtk/runtime/error.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

namespace qtk::plugin {
namespace {

constexpr uint64_t kLongestManifest = 64 << 10;
constexpr const char* kRemedy =
    "build plugins with qtk_add_plugin and end their source with QTK_PLUGIN(...)";

/// Shown on terminals and written as JSON, so: no control characters, and UTF-8.
bool is_printable(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    if (lead < 0x20 || lead == 0x7f) return false;
    const size_t length = lead < 0x80 ? 1 : lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if ((lead >= 0x80 && lead < 0xc2) || lead > 0xf4 || i + length > text.size()) return false;
    for (size_t j = 1; j < length; ++j)
      if ((static_cast<unsigned char>(text[i + j]) & 0xc0) != 0x80) return false;
    const auto second = static_cast<unsigned char>(length > 1 ? text[i + 1] : 0);
    const bool is_overlong = (lead == 0xe0 && second < 0xa0) || (lead == 0xf0 && second < 0x90);
    const bool is_outside = (lead == 0xed && second > 0x9f) || (lead == 0xf4 && second > 0x8f);
    if (is_overlong || is_outside) return false;
    i += length;
  }
  return true;
}

std::map<std::string, std::string, std::less<>> parse_lines(std::string_view text) {
  std::map<std::string, std::string, std::less<>> values;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const size_t equals = line.find('=');
    if (equals == line.npos || !is_printable(line))
      throw ElfProblem("has a damaged manifest: a line is not of the form key=value");
    const auto [place, is_new] = values.emplace(line.substr(0, equals), line.substr(equals + 1));
    if (!is_new) throw ElfProblem("has a damaged manifest: two lines for '" + place->first + "'");
  }
  return values;
}

Manifest parse_manifest(std::string_view section) {
  const size_t end = section.find('\0');
  if (end == section.npos) throw ElfProblem("has a damaged manifest: it has no end");
  auto values = parse_lines(section.substr(0, end));
  const auto take = [&](const char* key, bool may_be_empty = false) {
    const auto value = values.find(key);
    if (value == values.end() || (value->second.empty() && !may_be_empty))
      throw ElfProblem("has a damaged manifest: '" + std::string(key) + "' is missing");
    return value->second;
  };
  if (const std::string format = take("qtk_manifest"); format != "1")
    throw ElfProblem("has a manifest of format " + format + ", expected 1");
  Manifest manifest{take("kind"),    take("name"),        take("version"),
                    take("summary"), take("paper", true), parse_fingerprint(take("build"))};
  if (std::ranges::find(plugin_kinds(), manifest.kind) == plugin_kinds().end())
    throw ElfProblem("has a damaged manifest: kind is '" + manifest.kind + "', expected one of " +
                     join(plugin_kinds()));
  if (!is_plugin_id(manifest.name))
    throw ElfProblem("has a damaged manifest: name is '" + manifest.name +
                     "', expected lower snake case");
  return manifest;
}

/// Reads instead of mapping: a file that shrinks while mapped would kill the process.
class OpenFile {
 public:
  explicit OpenFile(const std::filesystem::path& file)
      : descriptor_(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
    if (descriptor_ < 0) throw ElfProblem("cannot be opened: " + std::string(std::strerror(errno)));
  }
  ~OpenFile() { ::close(descriptor_); }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  uint64_t size() const {
    struct stat status {};
    if (::fstat(descriptor_, &status) != 0 || !S_ISREG(status.st_mode))
      throw ElfProblem("is not a regular file");
    return static_cast<uint64_t>(status.st_size);
  }

  bool read(uint64_t offset, std::span<std::byte> out) const {
    while (!out.empty()) {
      const ssize_t got = ::pread(descriptor_, out.data(), out.size(), static_cast<off_t>(offset));
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return false;
      offset += static_cast<uint64_t>(got);
      out = out.subspan(static_cast<size_t>(got));
    }
    return true;
  }

 private:
  int descriptor_;
};

[[noreturn]] void refuse(const std::filesystem::path& file, const ElfProblem& problem) {
  throw PluginError("plugin file " + file.string() + " " + problem.what(), kRemedy);
}

}  // namespace

std::span<const std::string> plugin_kinds() {
  static const auto* kinds =
      new std::array<std::string, 5>{"quantizer", "scheduler", "estimator", "search", "comm"};
  return *kinds;
}

Manifest read_manifest(const ByteSource& source, const std::filesystem::path& file) {
  try {
    return parse_manifest(elf_section(source, ".qtk_manifest", kLongestManifest));
  } catch (const ElfProblem& problem) {
    refuse(file, problem);
  }
}

Manifest read_manifest(const std::filesystem::path& file) {
  try {
    const OpenFile open(file);
    const ByteSource source{open.size(), [&](uint64_t offset, std::span<std::byte> out) {
                              return open.read(offset, out);
                            }};
    return read_manifest(source, file);
  } catch (const ElfProblem& problem) {
    refuse(file, problem);
  }
}

Fingerprint parse_fingerprint(std::string_view text) {
  Fingerprint fingerprint;
  while (!text.empty()) {
    const size_t end = std::min(text.find(';'), text.size());
    const std::string_view part = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (const size_t equals = part.find('='); equals != part.npos)
      fingerprint.insert_or_assign(std::string(part.substr(0, equals)),
                                   std::string(part.substr(equals + 1)));
  }
  return fingerprint;
}

}  // namespace qtk::plugin
