// One worker: a process in a group of its own that dies with its launcher.
#pragma once

#include "base/descriptor.hpp"

#include <sys/types.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace qtk::dist {

struct WorkerStart {
  std::vector<std::string> command;              // program and arguments
  std::map<std::string, std::string> variables;  // added to the environment
  bool captures_output = true;                   // else it writes where the launcher writes
  int shared_descriptor = -1;                    // that it inherits under the same number
};

/// How a process ended.
struct ProcessEnd {
  int exit_code = -1;  // if it ended by itself
  int signal = 0;      // else what ended it
};

class WorkerProcess {
 public:
  /// @throws IoError if it cannot be started
  explicit WorkerProcess(const WorkerStart& start);
  /// Kills what is left.
  ~WorkerProcess();
  WorkerProcess(WorkerProcess&&) = default;
  WorkerProcess& operator=(WorkerProcess&&) = delete;

  pid_t pid() const { return pid_; }
  /// Readable as soon as the process has ended.
  int watch_descriptor() const { return watch_.get(); }
  /// Its output, if captured; not blocking.
  const Descriptor& out() const { return out_; }
  const Descriptor& err() const { return err_; }

  /// To the worker alone.
  void send(int signal) const;
  /// To the worker and all it started.
  void kill_group() const;
  /// Whether it has ended; it keeps its number until reap().
  bool has_ended() const;
  /// Waits for it and ends what it left behind in its group.
  ProcessEnd reap();
  /// Whether a signal has stopped it (SIGSTOP, a debugger).
  bool is_stopped() const;
  /// One line for each of its threads: name, state, and where it waits in the kernel.
  std::vector<std::string> threads() const;

 private:
  pid_t pid_ = -1;
  bool is_reaped_ = false;
  Descriptor watch_, out_, err_;
};

/// "was killed by signal 9 (Killed)", "ended with exit code 79".
std::string describe(const ProcessEnd& end);

}  // namespace qtk::dist
