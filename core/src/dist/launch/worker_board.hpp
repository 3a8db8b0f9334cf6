// What every worker of this machine does right now, in memory that the launcher shares with its
// workers: it can still be read when the worker is dead, stopped or stuck in a transport.
//
// One row per worker with one writer of operations (the worker's main thread) and one of beats (its
// heartbeat thread). Operations are written to two slots in turn and then published, so a worker
// that is killed in the middle leaves the last complete one. Times are CLOCK_MONOTONIC, which all
// processes of a machine share.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace qtk::dist {

/// One worker as the launcher sees it.
struct WorkerRow {
  std::string operation;  // "" before the first; cut to 119 bytes
  int64_t step = -1;
  double operation_age_s = 0;        // how long it has been at it
  double step_limit_s = 0;           // of one operation; 0: none
  std::optional<double> beat_age_s;  // nothing before the first beat and after leave()
};

class WorkerBoard {
 public:
  /// The launcher's. @throws IoError
  static WorkerBoard create(int workers);
  /// Of a worker started by qtk launch (QTK_BOARD_FD, QTK_LOCAL_RANK); null elsewhere.
  static std::unique_ptr<WorkerBoard> inherited();
  ~WorkerBoard();
  WorkerBoard(WorkerBoard&& other) noexcept;
  WorkerBoard& operator=(WorkerBoard&&) = delete;

  /// What the worker does from now on; step -1 is outside of training. Makes no system call.
  void begin(std::string_view operation, int64_t step);
  /// To be called every second once the first was.
  void beat();
  /// The worker ends its heartbeat on purpose, because it is about to exit.
  void leave();
  /// How long one operation may take before the launcher calls the worker hung; 0: no limit.
  void set_step_limit(double seconds);
  /// A worker of this machine that died or hangs, as soon as the launcher knows: nobody should wait
  /// for it any longer. A global rank.
  std::optional<int> lost_rank() const;

  // The launcher's side.
  WorkerRow row(int worker) const;
  void announce_lost(int rank);
  /// Forgets what an earlier attempt wrote.
  void clear();
  int descriptor() const { return descriptor_; }

 private:
  struct Header;
  struct Row;
  WorkerBoard(int descriptor, void* memory, size_t bytes, int worker);
  Row& row_of(int worker) const;

  int descriptor_;
  void* memory_;
  size_t bytes_;
  int worker_;  // the row that begin() and beat() write
};

}  // namespace qtk::dist
