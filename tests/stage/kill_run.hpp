// A run that is killed.
#pragma once

#include "stage/pipeline.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace qtk::stage {

/// A run in a child process, which never outlives this object.
class DoomedRun {
 public:
  explicit DoomedRun(const RunRequest& request) : child_(::fork()) {
    if (child_ != 0) return;
    ::dup2(::open("/dev/null", O_WRONLY), 2);
    try {
      run(request);
    } catch (...) {
      ::_exit(1);
    }
    ::_exit(0);
  }
  ~DoomedRun() { kill(); }
  DoomedRun(const DoomedRun&) = delete;
  DoomedRun& operator=(const DoomedRun&) = delete;

  /// Waits until the file has as many lines, or the run has ended.
  void await_lines(const std::filesystem::path& file, int64_t lines) {
    while (lines_of(file) < lines && !has_ended(WNOHANG)) ::usleep(200);
  }
  /// Returns whether it was still running.
  bool kill() {
    if (!has_ended(WNOHANG)) {
      ::kill(child_, SIGKILL);
      has_ended(0);
    }
    return WIFSIGNALED(status_);
  }

 private:
  bool has_ended(int options) {
    if (is_running_ && ::waitpid(child_, &status_, options) == child_) {
      is_running_ = false;
      EXPECT_TRUE(WIFSIGNALED(status_) || WEXITSTATUS(status_) == 0);
    }
    return !is_running_;
  }
  static int64_t lines_of(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return std::count(std::istreambuf_iterator<char>(file), {}, '\n');
  }

  pid_t child_;
  int status_ = 0;
  bool is_running_ = true;
};

/// Starts the run in a child, which is killed after `delay`. Returns whether it was still running.
inline bool run_and_kill(const RunRequest& request, std::chrono::microseconds delay) {
  DoomedRun run(request);
  ::usleep(static_cast<useconds_t>(delay.count()));
  return run.kill();
}

}  // namespace qtk::stage
