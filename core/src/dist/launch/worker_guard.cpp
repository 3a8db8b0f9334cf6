#include "dist/launch/worker_guard.hpp"

#include <qtk/runtime/error.hpp>

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string>

namespace qtk::dist {
namespace {

// No launcher has more workers than a machine has GPUs or cores.
constexpr size_t kMostGroups = 4096;

/// The guard's whole life. Only calls that are safe in a forked child of a threaded program.
[[noreturn]] void guard(int pipe) {
  ::setsid();  // what ends the launcher's group or terminal does not end the guard
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGPIPE})
    ::sigaction(signal, &ignore, nullptr);
  // Holds nothing of the launcher's open: a reader of its output must see the end.
  ::dup2(pipe, 0);
  ::close_range(1, ~0U, 0);

  static std::array<pid_t, kMostGroups> groups;
  size_t count = 0;
  for (pid_t message; ::read(0, &message, sizeof(message)) == sizeof(message);) {
    if (message > 0 && count < kMostGroups) groups[count++] = message;
    const auto end = groups.begin() + static_cast<std::ptrdiff_t>(count);
    const auto found = std::find(groups.begin(), end, -message);
    if (found != end) *found = groups[--count];
  }
  for (size_t i = 0; i < count; ++i) ::kill(-groups[i], SIGKILL);
  ::_exit(0);
}

}  // namespace

WorkerGuard::WorkerGuard() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0)
    throw IoError("cannot make a pipe: " + std::string(std::strerror(errno)));
  Descriptor read(ends[0]);
  pipe_ = Descriptor(ends[1]);
  process_ = ::fork();
  if (process_ == 0) guard(read.get());
  if (process_ < 0) throw IoError("cannot fork: " + std::string(std::strerror(errno)));
}

WorkerGuard::~WorkerGuard() {
  pipe_.close();
  while (::waitpid(process_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void WorkerGuard::watch(pid_t group) { tell(group); }

void WorkerGuard::forget(pid_t group) { tell(-group); }

void WorkerGuard::tell(pid_t message) const {
  // A guard that somebody killed takes no messages; the parent-death signal remains.
  while (::write(pipe_.get(), &message, sizeof(message)) < 0 && errno == EINTR) {
  }
}

}  // namespace qtk::dist
