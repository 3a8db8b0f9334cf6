// A process that outlives the launcher for a moment: when the launcher is gone, whatever the way,
// it kills the process groups of the workers that are left, with everything they started. The
// kernel's parent-death signal alone would miss the workers' own children.
#pragma once

#include "base/descriptor.hpp"

#include <sys/types.h>

namespace qtk::dist {

class WorkerGuard {
 public:
  /// Forks. @throws IoError
  WorkerGuard();
  /// Tells the guard that all is well, and waits for it.
  ~WorkerGuard();
  WorkerGuard(const WorkerGuard&) = delete;
  WorkerGuard& operator=(const WorkerGuard&) = delete;

  void watch(pid_t group);
  /// To be called before the group's leader is reaped: its number is free afterwards.
  void forget(pid_t group);

 private:
  void tell(pid_t message) const;

  Descriptor pipe_;
  pid_t process_ = -1;
};

}  // namespace qtk::dist
