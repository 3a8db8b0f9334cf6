#include "dist/launch/worker_process.hpp"

#include "base/pipe.hpp"

#include <qtk/runtime/error.hpp>

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

extern char** environ;

namespace qtk::dist {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostThreads = 40;  // that are listed

/// argv or envp: pointers into strings that outlive it.
std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> all;
  for (const auto& text : texts) all.push_back(const_cast<char*>(text.c_str()));
  all.push_back(nullptr);
  return all;
}

std::vector<std::string> environment_with(const std::map<std::string, std::string>& variables) {
  std::vector<std::string> all;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    if (!variables.contains(std::string(text.substr(0, text.find('='))))) all.emplace_back(text);
  }
  for (const auto& [name, value] : variables) all.push_back(name + "=" + value);
  return all;
}

/// What the child needs, ready before the fork: no allocation happens after it.
struct ChildPlan {
  char* const* argv;
  char* const* envp;
  pid_t parent;
  int in, out, err;  // out and err: -1 to keep the launcher's
  int shared;
  int failure;  // gets errno if the program cannot be started; closed by exec
};

[[noreturn]] void become_worker(const ChildPlan& plan) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != plan.parent) ::_exit(1);  // it died before it could be watched
  // Exec keeps ignored and blocked signals as they are; a worker starts with none.
  struct sigaction by_default {};
  by_default.sa_handler = SIG_DFL;
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGPIPE, SIGXFSZ, SIGCHLD})
    ::sigaction(signal, &by_default, nullptr);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::dup2(plan.in, 0);
  if (plan.out >= 0) ::dup2(plan.out, 1);
  if (plan.err >= 0) ::dup2(plan.err, 2);
  if (plan.shared >= 0) ::fcntl(plan.shared, F_SETFD, 0);
  ::execvpe(plan.argv[0], plan.argv, plan.envp);
  const int error = errno;
  if (::write(plan.failure, &error, sizeof(error)) < 0) ::_exit(126);
  ::_exit(127);
}

std::string first_line_of(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

/// The letter of /proc/.../stat: R, S, D, T ...
char state_of(const fs::path& process) {
  const std::string line = first_line_of(process / "stat");
  const size_t name_end = line.rfind(") ");  // a name may hold anything
  return name_end == line.npos || name_end + 2 >= line.size() ? '?' : line[name_end + 2];
}

std::string state_text(char state) {
  switch (state) {
    case 'R':
      return "running";
    case 'S':
      return "waiting";
    case 'D':
      return "waiting for a device or disk";
    case 'T':
      return "stopped by a signal";
    case 't':
      return "stopped by a debugger";
    case 'Z':
      return "ended";
    default:
      return std::string("in state ") + state;
  }
}

}  // namespace

WorkerProcess::WorkerProcess(const WorkerStart& start) {
  const auto words = start.command;
  const auto settings = environment_with(start.variables);
  const auto argv = pointers(words), envp = pointers(settings);
  Pipe out, err, failure = make_pipe();
  if (start.captures_output) {
    out = make_pipe();
    err = make_pipe();
  }
  const Descriptor in(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const ChildPlan plan{argv.data(),
                       envp.data(),
                       ::getpid(),
                       in.get(),
                       out.write.get(),
                       err.write.get(),
                       start.shared_descriptor,
                       failure.write.get()};
  pid_ = ::fork();
  if (pid_ == 0) become_worker(plan);
  if (pid_ < 0) throw IoError("cannot start a worker: " + std::string(std::strerror(errno)));
  ::setpgid(pid_, pid_);  // here too, so that kill_group() works from now on
  failure.write.close();
  ::fcntl(failure.read.get(), F_SETFL, 0);
  int error = 0;
  if (::read(failure.read.get(), &error, sizeof(error)) == sizeof(error)) {
    reap();
    throw IoError("cannot start " + words.front() + ": " + std::strerror(error));
  }
  watch_ = Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  if (!watch_) {
    const int reason = errno;
    reap();
    throw IoError("cannot watch a worker: pidfd_open: " + std::string(std::strerror(reason)),
                  "Linux 5.3 or newer is needed");
  }
  ::fcntl(watch_.get(), F_SETFD, FD_CLOEXEC);
  out_ = std::move(out.read);
  err_ = std::move(err.read);
}

WorkerProcess::~WorkerProcess() {
  if (pid_ > 0 && !is_reaped_ && watch_) reap();
}

void WorkerProcess::send(int signal) const {
  if (!is_reaped_) ::kill(pid_, signal);
}

void WorkerProcess::kill_group() const {
  if (!is_reaped_) ::kill(-pid_, SIGKILL);
}

bool WorkerProcess::has_ended() const {
  siginfo_t info{};
  return ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
         info.si_pid == pid_;
}

ProcessEnd WorkerProcess::reap() {
  kill_group();
  is_reaped_ = true;
  ProcessEnd end;
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0)
    if (errno != EINTR) return end;
  if (WIFEXITED(status)) end.exit_code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) end.signal = WTERMSIG(status);
  return end;
}

bool WorkerProcess::is_stopped() const {
  const char state = state_of("/proc/" + std::to_string(pid_));
  return state == 'T' || state == 't';
}

std::vector<std::string> WorkerProcess::threads() const {
  std::vector<std::string> lines;
  std::error_code error;
  for (const auto& task :
       fs::directory_iterator("/proc/" + std::to_string(pid_) + "/task", error)) {
    if (lines.size() == kMostThreads) {
      lines.push_back("... and more");
      break;
    }
    std::string line = "thread " + task.path().filename().string() + " " +
                       first_line_of(task.path() / "comm") + ": " +
                       state_text(state_of(task.path()));
    const std::string place = first_line_of(task.path() / "wchan");
    if (!place.empty() && place != "0") line += " in " + place;
    // The whole way into the kernel is for root only.
    std::ifstream stack(task.path() / "stack");
    std::string way;
    for (std::string frame; std::getline(stack, frame) && way.size() < 200;)
      if (const size_t at = frame.find("] "); at != frame.npos)
        way += (way.empty() ? "" : " < ") + frame.substr(at + 2, frame.find('+') - at - 2);
    if (!way.empty()) line += " (" + way + ")";
    lines.push_back(line);
  }
  return lines;
}

std::string describe(const ProcessEnd& end) {
  if (end.signal != 0)
    return "was killed by signal " + std::to_string(end.signal) + " (" + ::strsignal(end.signal) +
           ")";
  return "ended with exit code " + std::to_string(end.exit_code);
}

}  // namespace qtk::dist
