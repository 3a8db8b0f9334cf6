// Processors that tasks share fairly, in simulated time (processor sharing: Kleinrock, "Time-shared
// Systems: A Theoretical Treatment", JACM 14, 1967): of k tasks on C cores each advances at
// min(1, C / k) of a core. A task never runs on two cores at once.
#pragma once

#include <cstdint>
#include <vector>

namespace qtk::dist {

/// All tasks advance alike, so work is counted on one clock for all of them, and a task ends when
/// that clock has advanced by its work. O(tasks) a call. Times only go forward.
class SharedCores {
 public:
  /// @param cores  at least 1
  explicit SharedCores(int64_t cores);

  /// A task of so many seconds of one core begins. @param task  what finish() gives back
  void begin(int64_t task, double work_s, double now);
  bool is_idle() const { return tasks_.empty(); }
  /// When the next task will have ended, if none begins before; infinity while idle.
  double next_end() const;
  /// Ends the task that is due at next_end(); of several, the one that began first.
  int64_t finish(double now);

 private:
  struct Task {
    double end_work = 0;  // of the common clock
    int64_t id = 0;
  };

  void advance(double now);
  /// Seconds of work that every task does in a second.
  double speed() const;
  std::vector<Task>::const_iterator first() const;

  double cores_;
  double updated_ = 0;
  double work_ = 0;          // the common clock: what a task that was always there would have done
  std::vector<Task> tasks_;  // in the order in which they began
};

}  // namespace qtk::dist
