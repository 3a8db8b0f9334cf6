// Signs of life among the processes of a run, over the store and apart from all messages, because
// neither Gloo nor NCCL reliably notices a peer that died or hangs.
//
// Every process writes what it does every heartbeat. Rank 0 watches all of them, they watch rank 0.
// Whoever finds that somebody is lost says so in the store, and everybody leaves.
#pragma once

#include "dist/mesh.hpp"
#include "dist/run_store.hpp"
#include "dist/timeouts.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace qtk::dist {

class WorkerBoard;

/// What a rank last said about itself.
struct SignOfLife {
  int64_t beat = 0;
  int64_t step = 0;
  std::string operation;
  double seconds = 0;  // that the operation had taken by then
  bool has_left = false;
};

class Presence {
 public:
  /// @param on_lost  called once, from the watching thread, with a sentence; it must end the
  /// process
  Presence(const RunStore& store, const Mesh& mesh, const Timeouts& timeouts,
           std::function<void(const std::string&)> on_lost);
  ~Presence();

  /// What this process does from now on. Cheap; any thread.
  void begin(std::string_view operation);
  void set_step(int64_t step);
  /// A step took so long: the limit of a hanging step follows the median.
  void step_finished(Seconds duration);
  /// Tells the others why this process is about to end, so that they need not wait for a time-out.
  void fail(const std::string& why) noexcept;
  /// No signs of life from now on, and none expected. Rank 0, who may hold the store, waits for the
  /// others. Not to be called after a failure.
  void leave();
  /// "rank 1 (stage 1): step 12, receive forward micro-batch 3 from rank 0, for 5.0 s" and so on,
  /// one line a rank, as last seen.
  std::string report();

 private:
  using Clock = std::chrono::steady_clock;
  struct Seen {
    SignOfLife sign;
    Clock::time_point since;
  };
  void run();
  void publish(RunStore& store);
  void look_at_board();
  void look(RunStore& store);
  void look_at(RunStore& store, int rank);
  void require_progress(RunStore& store);
  void lose(RunStore* store, const std::string& why);
  void report_loss(const std::string& why);
  std::vector<int> watched() const;

  const Mesh mesh_;
  const Timeouts timeouts_;
  const std::function<void(const std::string&)> on_lost_;
  RunStore store_;  // the thread's own connection
  std::unique_ptr<WorkerBoard> board_;

  std::mutex mutex_;  // guards what follows
  std::condition_variable stop_;
  bool is_stopping_ = false, has_left_ = false, has_lost_ = false;
  std::string operation_ = "starting";
  Clock::time_point operation_since_ = Clock::now(), step_since_ = Clock::now();
  int64_t step_ = 0, beat_ = 0;
  bool has_stepped_ = false;
  std::vector<double> durations_;  // of the last steps
  std::vector<Seen> seen_;         // by rank
  std::thread thread_;
};

}  // namespace qtk::dist
