#include "dist/launch/launch_attempt.hpp"

#include "base/logging.hpp"

#include <qtk/runtime/error.hpp>

#include <poll.h>
#include <signal.h>

#include <algorithm>
#include <cstdio>
#include <utility>

namespace qtk::dist {
namespace {

using namespace std::chrono_literals;

constexpr auto kLook = 100ms;  // between two looks at the board
// With a hang noticed after five seconds, this keeps the whole below six.
constexpr double kKillAfterHang = 0.8;

std::chrono::nanoseconds duration(double seconds) {
  return std::chrono::nanoseconds(static_cast<int64_t>(seconds * 1e9));
}

std::string silent_for(double seconds) {
  char text[64];
  std::snprintf(text, sizeof(text), "no heartbeat for %.1f s", seconds);
  return text;
}

}  // namespace

LaunchAttempt::LaunchAttempt(const LaunchPlan& plan, WorkerBoard& board, WorkerGuard& guard,
                             StopSignals& signals)
    : plan_(plan), board_(board), guard_(guard), signals_(signals) {}

Verdict LaunchAttempt::run(int attempt, int port, const std::string& run_id) {
  start(attempt, port, run_id);
  while (!is_over()) {
    wait_for_events();
    ++round_;
    answer_signals();
    collect_ended();
    look_for_hangs();
    keep_deadline();
  }
  std::vector<WorkerEnd> ends;
  for (const auto& worker : workers_) ends.push_back(*worker.end);
  return judge(ends, signals_.first());
}

void LaunchAttempt::start(int attempt, int port, const std::string& run_id) {
  for (int local = 0; local < plan_.workers; ++local) {
    const int rank = plan_.node_rank * plan_.workers + local;
    std::shared_ptr<WorkerLog> log;
    if (!plan_.log_folder.empty())
      log =
          std::make_shared<WorkerLog>(plan_.log_folder / ("rank_" + std::to_string(rank) + ".log"));
    auto variables = worker_variables(plan_, local, attempt, port, run_id);
    variables["QTK_BOARD_FD"] = std::to_string(board_.descriptor());
    workers_.push_back({.rank = rank,
                        .process = WorkerProcess({.command = plan_.command,
                                                  .variables = std::move(variables),
                                                  .captures_output = rank > 0 || log,
                                                  .shared_descriptor = board_.descriptor()}),
                        .outputs = {},
                        .end = {},
                        .stopped_since = {},
                        .hang = {}});
    Worker& worker = workers_.back();
    guard_.watch(worker.process.pid());
    const std::string prefix = rank > 0 ? "[rank " + std::to_string(rank) + "] " : "";
    // stdout belongs to rank 0: a script that reads it wants one result.
    if (worker.process.out())
      worker.outputs = {WorkerOutput(worker.process.out(), rank > 0 ? 2 : 1, prefix, log),
                        WorkerOutput(worker.process.err(), 2, prefix, log)};
  }
}

void LaunchAttempt::wait_for_events() {
  std::vector<pollfd> watched = {{signals_.descriptor(), POLLIN, 0}};
  for (const auto& worker : workers_) {
    if (worker.end) continue;
    watched.push_back({worker.process.watch_descriptor(), POLLIN, 0});
    for (const auto& output : worker.outputs)
      if (output.is_open()) watched.push_back({output.descriptor(), POLLIN, 0});
  }
  ::poll(watched.data(), watched.size(), static_cast<int>(kLook / 1ms));
  for (auto& worker : workers_)
    if (!worker.end)
      for (auto& output : worker.outputs) output.pump();
}

void LaunchAttempt::answer_signals() {
  for (const int signal : signals_.take()) {
    if (std::exchange(is_asked_to_stop_, true)) {
      core_log().warn("asked to stop again: the workers are killed");
      return kill_all();
    }
    if (mode_ != Mode::kRunning) continue;  // they are ending already
    begin_stopping();
    sent_ = signal;
    send_to_all(signal);
  }
}

void LaunchAttempt::collect_ended() {
  for (auto& worker : workers_)
    if (!worker.end && worker.process.has_ended()) record_end(worker);
}

void LaunchAttempt::record_end(Worker& worker) {
  WorkerEnd end{.rank = worker.rank,
                .pid = worker.process.pid(),
                .process = {},
                .round = worker.hang.empty() ? round_ : worker.hang_round,
                .hang = worker.hang,
                .row = row_of(worker)};
  guard_.forget(worker.process.pid());
  end.process = worker.process.reap();
  for (auto& output : worker.outputs) output.finish();
  const int code = end.process.exit_code, signal = end.process.signal;
  const bool has_stopped = code == static_cast<int>(ExitCode::kPreempted) ||
                           code == static_cast<int>(ExitCode::kInterrupted);
  if (signal != 0)
    end.was_told_to = signal == sent_ || (signal == SIGKILL && has_killed_);
  else
    end.was_told_to = has_stopped && sent_ != 0;
  const bool has_failed = code != 0 && !has_stopped && !end.was_told_to;
  worker.end = std::move(end);
  if (has_failed)
    begin_failing(worker.rank, plan_.kill_s);
  else if (has_stopped)
    begin_stopping();  // the workers have agreed to stop, whoever was asked
}

void LaunchAttempt::look_for_hangs() {
  const auto now = Clock::now();
  // A launcher that was itself stopped, or whose machine was, sees beats as old as its own pause.
  if (now - last_look_ > 1s) trusted_from_ = now + duration(plan_.heartbeat_s);
  last_look_ = now;
  if (mode_ == Mode::kFailing || now < trusted_from_) return;
  for (auto& worker : workers_) {
    if (worker.end) continue;
    const std::string why = hang_of(worker);
    if (!why.empty()) return call_hung(worker, why);
  }
}

std::string LaunchAttempt::hang_of(Worker& worker) {
  const auto row = row_of(worker);
  const auto now = Clock::now();
  if (row.beat_age_s) {
    if (*row.beat_age_s > plan_.heartbeat_s) {
      const bool is_stopped = worker.process.is_stopped();
      return silent_for(*row.beat_age_s) + (is_stopped ? ", it is stopped by a signal" : "");
    }
  } else if (!worker.process.is_stopped()) {  // programs without a heartbeat can be stopped, too
    worker.stopped_since.reset();
  } else if (!worker.stopped_since) {
    worker.stopped_since = now;
  } else if (now - *worker.stopped_since > duration(plan_.heartbeat_s)) {
    return "it is stopped by a signal";
  }
  if (row.step_limit_s > 0 && !row.operation.empty() && row.operation_age_s > row.step_limit_s)
    return "its operation takes longer than the limit of " +
           std::to_string(static_cast<int64_t>(row.step_limit_s)) + " s";
  return "";
}

void LaunchAttempt::call_hung(Worker& worker, const std::string& why) {
  core_log().warn("a worker hangs; what all were doing:");
  for (const auto& each : workers_)
    if (!each.end) core_log().warn("  " + describe(each.rank, each.process.pid(), row_of(each)));
  for (const auto& thread : worker.process.threads()) core_log().warn("    " + thread);
  worker.hang = why;
  worker.hang_round = round_;
  worker.process.kill_group();
  begin_failing(worker.rank, std::min(plan_.kill_s, kKillAfterHang));
}

void LaunchAttempt::keep_deadline() {
  if (!deadline_ || Clock::now() < *deadline_) return;
  if (mode_ == Mode::kStopping) core_log().warn("the time for saving is over");
  kill_all();
}

void LaunchAttempt::begin_stopping() {
  if (mode_ != Mode::kRunning) return;
  mode_ = Mode::kStopping;
  deadline_ = Clock::now() + duration(plan_.grace_s);
}

void LaunchAttempt::begin_failing(int rank, double kill_s) {
  if (mode_ == Mode::kFailing) return;
  board_.announce_lost(rank);
  const auto deadline = Clock::now() + duration(kill_s);
  deadline_ = deadline_ ? std::min(*deadline_, deadline) : deadline;
  const bool is_first = mode_ == Mode::kRunning;
  mode_ = Mode::kFailing;
  if (!is_first) return;  // they have had a signal, and a second ends them at once
  sent_ = SIGTERM;
  send_to_all(SIGTERM);
}

void LaunchAttempt::send_to_all(int signal) const {
  for (const auto& worker : workers_)
    if (!worker.end) worker.process.send(signal);
}

void LaunchAttempt::kill_all() {
  deadline_.reset();
  has_killed_ = true;
  for (const auto& worker : workers_)
    if (!worker.end) worker.process.kill_group();
}

bool LaunchAttempt::is_over() const {
  return std::ranges::all_of(workers_, [](const auto& worker) { return worker.end.has_value(); });
}

WorkerRow LaunchAttempt::row_of(const Worker& worker) const {
  return board_.row(worker.rank - plan_.node_rank * plan_.workers);
}

}  // namespace qtk::dist
