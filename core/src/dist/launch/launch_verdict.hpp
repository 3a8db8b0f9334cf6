// How a run of several workers ended, told from how each of them ended.
#pragma once

#include "dist/launch/worker_board.hpp"
#include "dist/launch/worker_process.hpp"

#include <optional>
#include <string>
#include <vector>

namespace qtk::dist {

struct WorkerEnd {
  int rank = 0;
  pid_t pid = 0;
  ProcessEnd process;
  int round = 0;             // ends of one round were noticed together
  std::string hang;          // why it was called hung and killed; "" if it was not
  bool was_told_to = false;  // a signal of the launcher ended it
  WorkerRow row;             // its last words
};

struct Verdict {
  int code = 0;          // docs/exit_codes.md
  std::string sentence;  // "" if all is well
  std::string remedy;
  bool is_retryable = false;
};

/// The cause is the earliest failure. A worker that only reports a lost peer is the cause only if
/// nothing else went wrong, however early it was.
/// @param stop_signal  that the launcher was asked to stop with, or 0
Verdict judge(const std::vector<WorkerEnd>& ends, int stop_signal);

/// "rank 1 (pid 17): step 12, 'backward micro-batch 3' since 0.3 s"
std::string describe(int rank, pid_t pid, const WorkerRow& row);

}  // namespace qtk::dist
