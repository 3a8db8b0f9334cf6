#include "base/atomic_file.hpp"

#include <qtk/runtime/error.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <system_error>
#include <utility>

namespace qtk {
namespace {

std::string remedy_for(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return "free some space or choose another folder; nothing was changed";
    case EACCES:
    case EPERM:
    case EROFS:
      return "choose a folder you may write to";
    default:
      return "check the disk; nothing was changed";
  }
}

std::filesystem::path temporary_beside(const std::filesystem::path& path) {
  static std::atomic<int> counter{0};
  auto temporary = path;
  temporary += ".tmp-" + std::to_string(::getpid()) + "-" + std::to_string(counter++);
  return temporary;
}

void make_parent(const std::filesystem::path& path) {
  if (path.parent_path().empty()) return;
  std::error_code error;
  std::filesystem::create_directories(path.parent_path(), error);
  if (error)
    throw IoError(
        "cannot create the folder " + path.parent_path().string() + ": " + error.message(),
        remedy_for(error.value()));
}

}  // namespace

AtomicFile::AtomicFile(std::filesystem::path path)
    : path_(std::move(path)), temporary_(temporary_beside(path_)) {
  make_parent(path_);
  descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (descriptor_ < 0) fail("create");
}

AtomicFile::~AtomicFile() { discard(); }

void AtomicFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) fail("write");
    bytes = bytes.subspan(static_cast<size_t>(written));
    size_ += written;
  }
}

void AtomicFile::write(std::string_view text) { write(std::as_bytes(std::span(text))); }

void AtomicFile::commit() {
  // The length is compared because a lost or short write may have been reported as whole.
  struct stat status {};
  if (::fsync(descriptor_) != 0 || ::fstat(descriptor_, &status) != 0) fail("sync");
  if (status.st_size != size_)
    throw IoError("wrote " + std::to_string(size_) + " bytes of " + path_.string() +
                      " but the disk holds " + std::to_string(status.st_size),
                  "check the disk; nothing was changed");
  const int descriptor = std::exchange(descriptor_, -1);
  if (::close(descriptor) != 0) fail("close");
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail("rename");
  temporary_.clear();
  sync_folder(path_.has_parent_path() ? path_.parent_path() : ".");
}

void AtomicFile::fail(const char* operation) {
  const int error = errno;
  discard();
  throw IoError(
      "cannot " + std::string(operation) + " " + path_.string() + ": " + std::strerror(error),
      remedy_for(error));
}

void AtomicFile::discard() noexcept {
  if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
  temporary_.clear();
}

void write_file_atomically(const std::filesystem::path& path, std::string_view content) {
  AtomicFile file(path);
  file.write(content);
  file.commit();
}

void copy_file_atomically(const std::filesystem::path& from, const std::filesystem::path& to) {
  std::ifstream source(from, std::ios::binary);
  if (!source) throw DataError("cannot read " + from.string(), "check that the file exists");
  AtomicFile target(to);
  std::string buffer(1 << 20, '\0');
  while (source.read(buffer.data(), static_cast<std::streamsize>(buffer.size())) ||
         source.gcount() > 0)
    target.write(std::string_view(buffer.data(), static_cast<size_t>(source.gcount())));
  if (source.bad()) throw IoError("cannot read " + from.string() + " to its end", "check the disk");
  target.commit();
}

void sync_folder(const std::filesystem::path& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  // Some file systems refuse to sync a folder (EINVAL); there is nothing more to be done on those.
  const bool failed = descriptor < 0 || (::fsync(descriptor) != 0 && errno != EINVAL);
  const int error = errno;
  if (descriptor >= 0) ::close(descriptor);
  if (failed)
    throw IoError("cannot sync the folder " + folder.string() + ": " + std::strerror(error),
                  remedy_for(error));
}

std::string read_text_file(const std::filesystem::path& path, int64_t limit_bytes) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error))
    throw DataError(
        "cannot read " + path.string() + ": " +
            (std::filesystem::exists(path, error) ? "it is not a regular file" : "no such file"),
        "check the path");
  const auto size = static_cast<int64_t>(std::filesystem::file_size(path, error));
  if (size > limit_bytes)
    throw DataError(path.string() + " has " + std::to_string(size) + " bytes, expected at most " +
                        std::to_string(limit_bytes),
                    "check that this is the right file");
  std::ifstream file(path, std::ios::binary);
  std::string text(static_cast<size_t>(size), '\0');
  if (!file || !file.read(text.data(), size))
    throw IoError("cannot read " + path.string() + " to its end",
                  "check its permissions and the disk");
  return text;
}

}  // namespace qtk
