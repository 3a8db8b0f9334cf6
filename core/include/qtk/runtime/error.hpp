// The errors qtk throws. Each carries one sentence that says what is wrong and where, a remedy, and
// the exit code of the process if nobody handles it (docs/exit_codes.md).
#pragma once

#include <qtk/runtime/export.hpp>

#include <stdexcept>
#include <string>

namespace qtk {

enum class ExitCode : int {
  kOk = 0,
  kFailed = 1,        // a contract was broken while running
  kConfig = 2,        // bad command line or configuration
  kEnvironment = 3,   // GPU, driver, plugin or ABI
  kData = 4,          // a model, text or token file is damaged or does not fit
  kMemory = 5,        // out of memory, host or device
  kGate = 6,          // an evaluation gate was missed
  kIo = 74,           // disk full, no permission, I/O error
  kPreempted = 75,    // asked to stop; state saved
  kPeerLost = 76,     // another rank died or timed out
  kDiverged = 79,     // NaN, infinity or divergence under policy `stop`
  kInterrupted = 130  // Ctrl-C; state saved
};

/// Base of all errors. `what()` is the sentence; `remedy()` is what the user can do, or empty.
class QTK_API Error : public std::runtime_error {
 public:
  explicit Error(const std::string& sentence, std::string remedy = {},
                 ExitCode code = ExitCode::kFailed, std::string area = "run");
  ~Error() override;

  ExitCode code() const { return code_; }
  const std::string& remedy() const { return remedy_; }
  /// The word in brackets of `error[area]: ...`.
  const std::string& area() const { return area_; }

 private:
  std::string remedy_;
  std::string area_;
  ExitCode code_;
};

/// The command line or the configuration is wrong. Exit code 2.
class QTK_API ConfigError : public Error {
 public:
  explicit ConfigError(const std::string& sentence, std::string remedy = {});
  ~ConfigError() override;
};

/// A plugin cannot be found, read, loaded or constructed. Exit code 3.
class QTK_API PluginError : public Error {
 public:
  explicit PluginError(const std::string& sentence, std::string remedy = {});
  ~PluginError() override;
};

/// A model, text or token file is damaged, or its content does not fit. Exit code 4.
class QTK_API DataError : public Error {
 public:
  explicit DataError(const std::string& sentence, std::string remedy = {});
  ~DataError() override;
};

/// The operating system refused a read or a write. Exit code 74.
class QTK_API IoError : public Error {
 public:
  explicit IoError(const std::string& sentence, std::string remedy = {});
  ~IoError() override;
};

}  // namespace qtk
