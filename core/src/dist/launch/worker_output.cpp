#include "dist/launch/worker_output.hpp"

#include <qtk/runtime/error.hpp>

#include <fcntl.h>
#include <poll.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace qtk::dist {
namespace {

// A line without an end is passed on in pieces of this size.
constexpr size_t kLongestLine = 64 << 10;

/// Writes all of it if it can; a reader that is gone does not stop a run.
void write_all(int to, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(to, bytes.data(), bytes.size());
    if (written >= 0) {
      bytes.remove_prefix(static_cast<size_t>(written));
    } else if (errno == EAGAIN) {  // somebody made the terminal non-blocking
      pollfd room{to, POLLOUT, 0};
      ::poll(&room, 1, 100);
    } else if (errno != EINTR) {
      return;
    }
  }
}

}  // namespace

WorkerLog::WorkerLog(const std::filesystem::path& path)
    : file_(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666)) {
  if (!file_) throw IoError("cannot write " + path.string() + ": " + std::strerror(errno));
}

void WorkerLog::write(std::string_view bytes) const { write_all(file_.get(), bytes); }

WorkerOutput::WorkerOutput(const Descriptor& from, int to, std::string prefix,
                           std::shared_ptr<WorkerLog> log)
    : from_(from.get()), to_(to), prefix_(std::move(prefix)), log_(std::move(log)) {}

bool WorkerOutput::pump() {
  std::array<char, 16 << 10> buffer;
  while (is_open_) {
    const ssize_t got = ::read(from_, buffer.data(), buffer.size());
    if (got > 0) {
      const std::string_view bytes(buffer.data(), static_cast<size_t>(got));
      if (log_) log_->write(bytes);
      pass(bytes);
    } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
      is_open_ = false;
    } else if (errno == EAGAIN) {
      break;
    }
  }
  return is_open_;
}

void WorkerOutput::finish() {
  pump();
  if (!line_.empty()) pass("\n");
}

void WorkerOutput::pass(std::string_view bytes) {
  if (prefix_.empty()) return write_all(to_, bytes);
  line_ += bytes;
  std::string complete;
  size_t begin = 0;
  for (size_t end; (end = line_.find('\n', begin)) != line_.npos; begin = end + 1)
    complete += prefix_ + line_.substr(begin, end + 1 - begin);
  line_.erase(0, begin);
  if (line_.size() >= kLongestLine) {
    complete += prefix_ + line_ + "\n";
    line_.clear();
  }
  write_all(to_, complete);
}

}  // namespace qtk::dist
