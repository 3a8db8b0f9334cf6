// What a worker prints, on its way to the launcher's own output and to a log file.
#pragma once

#include "base/descriptor.hpp"

#include <filesystem>
#include <memory>
#include <string>

namespace qtk::dist {

/// A file that the two streams of a worker share, written as it comes. A run that is started again
/// goes on in it.
class WorkerLog {
 public:
  /// @throws IoError
  explicit WorkerLog(const std::filesystem::path& path);
  void write(std::string_view bytes) const;

 private:
  Descriptor file_;
};

class WorkerOutput {
 public:
  /// @param from    what the worker writes into, not blocking; outlives this object
  /// @param to      1 or 2
  /// @param prefix  put before every line; "": the bytes pass as they are
  WorkerOutput(const Descriptor& from, int to, std::string prefix, std::shared_ptr<WorkerLog> log);

  /// Passes on what is there. False once the other end is closed.
  bool pump();
  /// Passes on what is there and the beginning of a line that was never ended.
  void finish();
  bool is_open() const { return is_open_; }
  int descriptor() const { return from_; }

 private:
  void pass(std::string_view bytes);

  int from_, to_;
  std::string prefix_, line_;
  std::shared_ptr<WorkerLog> log_;
  bool is_open_ = true;
};

}  // namespace qtk::dist
