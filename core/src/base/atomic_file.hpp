// Files that are either whole or absent: written beside their place, synced, renamed. A crash or a
// full disk leaves the old file, if there was one, and nothing half-written under the final name.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace qtk {

/// Writes to "<path>.tmp-<pid>-<n>" until commit(). Without commit the temporary file is removed.
/// Not thread-safe.
class AtomicFile {
 public:
  /// Creates missing parent folders. @throws IoError
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  /// Bytes written so far.
  int64_t size() const { return size_; }
  /// Syncs, renames to the final path, syncs the folder. @throws IoError
  void commit();

 private:
  [[noreturn]] void fail(const char* operation);
  void discard() noexcept;

  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int descriptor_ = -1;
  int64_t size_ = 0;
};

/// One write and commit.
void write_file_atomically(const std::filesystem::path& path, std::string_view content);

/// Copies a file through AtomicFile.
void copy_file_atomically(const std::filesystem::path& from, const std::filesystem::path& to);

/// Syncs a folder's entries, so that renames in it survive a power cut.
void sync_folder(const std::filesystem::path& folder);

/// The whole file as text. @throws DataError if it does not exist or exceeds `limit_bytes`, IoError
/// on a read error
std::string read_text_file(const std::filesystem::path& path,
                           int64_t limit_bytes = int64_t{1} << 30);

}  // namespace qtk
