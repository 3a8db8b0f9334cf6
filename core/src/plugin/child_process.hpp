// A child process with a time limit, whose words are collected.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

namespace qtk::plugin {

struct ChildResult {
  int exit_code = -1;          // if it ended by itself
  int signal = 0;              // else what ended it
  bool has_timed_out = false;  // then it was killed, with everything it started
  std::string record;          // what it wrote to kRecordDescriptor, at most 64 KiB
  std::string errors;          // end of what it wrote to stderr, at most 16 KiB
};

/// Runs `arguments` (the first is the program), with stdin and stdout at /dev/null and in a process
/// group of its own.
/// @throws IoError if it cannot be started
ChildResult run_child(const std::vector<std::string>& arguments, std::chrono::milliseconds limit);

}  // namespace qtk::plugin
