// One start of all workers of this machine, watched until none is left.
#pragma once

#include "dist/launch/launcher.hpp"
#include "dist/launch/stop_signals.hpp"
#include "dist/launch/worker_guard.hpp"
#include "dist/launch/worker_output.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <vector>

namespace qtk::dist {

class LaunchAttempt {
 public:
  /// Everything it is given outlives it.
  LaunchAttempt(const LaunchPlan& plan, WorkerBoard& board, WorkerGuard& guard,
                StopSignals& signals);
  LaunchAttempt(const LaunchAttempt&) = delete;
  LaunchAttempt& operator=(const LaunchAttempt&) = delete;

  Verdict run(int attempt, int port, const std::string& run_id);

 private:
  using Clock = std::chrono::steady_clock;
  using Time = Clock::time_point;

  struct Worker {
    int rank = 0;
    WorkerProcess process;
    std::vector<WorkerOutput> outputs;
    std::optional<WorkerEnd> end;
    std::optional<Time> stopped_since;
    std::string hang;
    int hang_round = 0;
  };
  enum class Mode { kRunning, kStopping, kFailing };

  void start(int attempt, int port, const std::string& run_id);
  void wait_for_events();
  void answer_signals();
  void collect_ended();
  void record_end(Worker& worker);
  void look_for_hangs();
  std::string hang_of(Worker& worker);
  void call_hung(Worker& worker, const std::string& why);
  void keep_deadline();

  void begin_stopping();
  void begin_failing(int rank, double kill_s);
  void send_to_all(int signal) const;
  void kill_all();
  bool is_over() const;
  WorkerRow row_of(const Worker& worker) const;

  const LaunchPlan& plan_;
  WorkerBoard& board_;
  WorkerGuard& guard_;
  StopSignals& signals_;
  std::vector<Worker> workers_;
  Mode mode_ = Mode::kRunning;
  int round_ = 0;
  int sent_ = 0;  // the signal that asked all workers to end
  bool is_asked_to_stop_ = false, has_killed_ = false;
  std::optional<Time> deadline_;  // then whoever is left is killed
  Time last_look_ = Clock::now(), trusted_from_ = last_look_;
};

}  // namespace qtk::dist
