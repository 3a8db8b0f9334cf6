// What belongs to the whole process and a plugin must leave alone.
#pragma once

#include <qtk/runtime/export.hpp>

#include <string>

namespace qtk::testing {

/// Default dtype, gradient and inference mode, number of threads, deterministic flag, state of the
/// default random generator, locale, working directory and signal mask, as they were when it was
/// made.
class QTK_API GlobalState {
 public:
  GlobalState();
  /// Empty if all is as it was, else what differs: "the number of threads, the random generator".
  std::string changes() const;

 private:
  std::string default_dtype_, modes_, threads_, determinism_, generator_, locale_, folder_,
      signals_;
};

}  // namespace qtk::testing
