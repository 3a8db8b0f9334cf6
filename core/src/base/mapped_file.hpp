// A file mapped read-only. Loading a model costs address space, not memory, until its pages are
// touched.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>

namespace qtk {

/// Shared by everything that points into it; unmapped with the last owner. The content must not
/// change while mapped.
class MappedFile {
 public:
  /// @throws DataError if the file is missing, empty or not regular; IoError if it cannot be mapped
  static std::shared_ptr<const MappedFile> open(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::filesystem::path& path() const { return path_; }
  /// Tells the system that these pages will not be needed again soon.
  void release(std::span<const std::byte> part) const noexcept;

 private:
  MappedFile(std::filesystem::path path, const std::byte* data, size_t size);

  std::filesystem::path path_;
  const std::byte* data_;
  size_t size_;
};

}  // namespace qtk
