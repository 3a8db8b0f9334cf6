// What a plugin may say. One line per event, `key=value` at the end; core adds time, rank and the
// plugin's name.
#pragma once

#include <qtk/runtime/export.hpp>

#include <string_view>

namespace qtk {

/// Ownership: core. Thread-safe.
class QTK_API Logger {
 public:
  virtual ~Logger();
  /// Loading details and decisions that matter to a developer.
  virtual void debug(std::string_view line) = 0;
  /// What a user would quote.
  virtual void info(std::string_view line) = 0;
  /// "Your setting has no effect" and the like.
  virtual void warn(std::string_view line) = 0;
};

}  // namespace qtk
