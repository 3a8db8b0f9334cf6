#include "plugin/child_process.hpp"

#include "base/pipe.hpp"
#include "plugin/probe_record.hpp"

#include <qtk/runtime/error.hpp>

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

extern char** environ;

namespace qtk::plugin {
namespace {

using Clock = std::chrono::steady_clock;

pid_t spawn(const std::vector<std::string>& arguments, const Pipe& record, const Pipe& errors) {
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawnattr_init(&attributes);
  ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, errors.write.get(), 2);
  ::posix_spawn_file_actions_adddup2(&actions, record.write.get(), kRecordDescriptor);
  sigset_t none;
  ::sigemptyset(&none);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);

  pid_t pid = -1;
  const int error = ::posix_spawn(&pid, argv[0], &actions, &attributes, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::posix_spawnattr_destroy(&attributes);
  if (error != 0) throw IoError("cannot start " + arguments.front() + ": " + std::strerror(error));
  return pid;
}

/// What is there now; keeps the last `limit` bytes if `keep_end`, else the first.
void drain(const Descriptor& from, std::string& to, size_t limit, bool keep_end) {
  std::array<char, 4096> buffer;
  ssize_t got;
  while ((got = ::read(from.get(), buffer.data(), buffer.size())) > 0) {
    to.append(buffer.data(), static_cast<size_t>(got));
    if (to.size() > limit) keep_end ? to.erase(0, to.size() - limit) : to.erase(limit);
  }
}

/// False while the child runs. It is not reaped yet, so that its number, and that of its group,
/// stay its own.
bool has_ended(pid_t pid) {
  siginfo_t info{};
  if (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) != 0)
    return errno != EINTR;  // somebody else reaps our children
  return info.si_pid == pid;
}

/// Ends whatever is left of the child's group and notes how the child ended.
void reap(pid_t pid, ChildResult& result) {
  ::kill(-pid, SIGKILL);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) return;
  if (WIFEXITED(status)) result.exit_code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) result.signal = WTERMSIG(status);
}

}  // namespace

ChildResult run_child(const std::vector<std::string>& arguments, std::chrono::milliseconds limit) {
  Pipe record = make_pipe(), errors = make_pipe();
  const auto deadline = Clock::now() + limit;
  const pid_t pid = spawn(arguments, record, errors);
  record.write.close();
  errors.write.close();

  ChildResult result;
  const auto collect = [&] {
    drain(record.read, result.record, 64 << 10, /*keep_end=*/false);
    drain(errors.read, result.errors, 16 << 10, /*keep_end=*/true);
  };
  // Waits for the child and not for the pipes to close: what it started may hold them open longer
  // than it lives.
  while (!has_ended(pid)) {
    result.has_timed_out = Clock::now() >= deadline;
    if (result.has_timed_out) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    collect();
  }
  reap(pid, result);
  collect();
  return result;
}

}  // namespace qtk::plugin
