// The signals that ask a launcher to stop, as something that can be polled.
#pragma once

#include "base/descriptor.hpp"

#include <csignal>
#include <vector>

namespace qtk::dist {

/// While it lives, SIGINT, SIGTERM, SIGUSR1 and SIGHUP wait here, SIGPIPE is ignored. They stay
/// blocked afterwards: what is left is to report how the run ended, and one that comes too late for
/// the workers must not turn that into a death by signal.
class StopSignals {
 public:
  /// @throws IoError
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  int descriptor() const { return descriptor_.get(); }
  /// Those that came since the last call. SIGHUP counts as SIGTERM.
  std::vector<int> take();
  /// The first that ever came, or 0.
  int first() const { return first_; }

 private:
  void (*former_pipe_)(int);
  Descriptor descriptor_;
  int first_ = 0;
};

}  // namespace qtk::dist
