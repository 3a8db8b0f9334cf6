// All problems of a configuration, collected so that the user sees every one of them in one go.
#pragma once

#include "config/node.hpp"

#include <qtk/runtime/error.hpp>

#include <set>
#include <string>
#include <utility>
#include <vector>

namespace qtk::config {

/// Printed as
///
///   unknown option `grup_size` for quantizer `hestia`
///     --> exp/hestia.yaml:14:43   quantizer.options.grup_size
///      did you mean `group_size`?  (int; Input channels that share one scale.)
struct Problem {
  std::string message;  // one sentence, no period
  SourceMark mark;
  std::string path;    // dotted, "" if it has none
  std::string remedy;  // lines, "" if there is none
};

std::string to_string(const Problem& problem);

/// Not thread-safe.
class Diagnostics {
 public:
  /// Only the first problem of a place (mark and path) is kept, because what follows it is mostly a
  /// consequence; and the same sentence about the same mark is kept once, whichever path led there.
  void error(Problem problem);
  void warn(Problem problem);
  /// Something that must be there is not. Dropped after expect_gaps().
  void missing(Problem problem);
  /// Part of the configuration could not be read, and that was reported.
  void expect_gaps() { has_gaps_ = true; }

  bool ok() const { return errors_.empty(); }
  /// Beyond that many errors the rest is only counted, so finding remedies for them is waste.
  bool is_crowded() const { return errors_.size() >= kMostShown; }
  /// Sorted by position.
  std::vector<Problem> errors() const;
  std::vector<Problem> warnings() const;

  /// All errors, sorted by position, as blocks. The launcher prints `error[config]: ` before the
  /// text; every block after the first brings its own.
  std::string text() const;
  /// @throws ConfigError with text()
  void throw_if_any() const;

  static constexpr size_t kMostShown = 50;

 private:
  std::vector<Problem> errors_;
  std::vector<Problem> warnings_;
  std::set<std::pair<SourceMark, std::string>> places_;     // mark and path
  std::set<std::pair<SourceMark, std::string>> sentences_;  // mark and message
  bool has_gaps_ = false;
};

/// A rule over several fields that a struct of options states itself ends as ConfigError without a
/// position: gives it one.
Problem located(const Error& error, SourceMark mark, std::string path);

}  // namespace qtk::config
