#include "dist/launch/launch_verdict.hpp"

#include "dist/elapsed.hpp"

#include <qtk/runtime/error.hpp>

#include <algorithm>
#include <csignal>
#include <tuple>

namespace qtk::dist {
namespace {

constexpr int code_of(ExitCode code) { return static_cast<int>(code); }

constexpr int kFailed = code_of(ExitCode::kFailed), kPreempted = code_of(ExitCode::kPreempted),
              kPeerLost = code_of(ExitCode::kPeerLost),
              kInterrupted = code_of(ExitCode::kInterrupted);

bool has_stopped(const WorkerEnd& end) {
  return end.process.exit_code == kPreempted || end.process.exit_code == kInterrupted;
}

bool has_crashed(const WorkerEnd& end) { return end.process.signal != 0 || !end.hang.empty(); }

bool has_failed(const WorkerEnd& end) {
  if (!end.hang.empty()) return true;
  return !end.was_told_to && end.process.exit_code != 0 && !has_stopped(end);
}

/// Smaller is more likely the cause.
auto priority(const WorkerEnd& end) {
  const bool is_survivor = end.process.exit_code == kPeerLost;
  const int kind = has_crashed(end) ? 0 : end.process.exit_code == kFailed ? 2 : 1;
  return std::tuple(is_survivor, end.round, kind, end.rank);
}

std::string meaning(int exit_code) {
  switch (static_cast<ExitCode>(exit_code)) {
    case ExitCode::kFailed:
      return " (failed)";
    case ExitCode::kConfig:
      return " (command line or configuration)";
    case ExitCode::kEnvironment:
      return " (environment or plugin)";
    case ExitCode::kData:
      return " (data)";
    case ExitCode::kMemory:
      return " (out of memory)";
    case ExitCode::kGate:
      return " (evaluation gate missed)";
    case ExitCode::kIo:
      return " (read or write refused)";
    case ExitCode::kPeerLost:
      return " (another rank did not answer)";
    case ExitCode::kDiverged:
      return " (training diverged)";
    default:
      return "";
  }
}

std::string last_operation(const WorkerRow& row) {
  if (row.operation.empty()) return "";
  return ", last in '" + row.operation + "'" +
         (row.step >= 0 ? " of step " + std::to_string(row.step) : "") + ", begun " +
         seconds_text(row.operation_age_s) + " before";
}

Verdict failure(const WorkerEnd& cause) {
  Verdict verdict;
  verdict.sentence =
      "worker rank " + std::to_string(cause.rank) + " (pid " + std::to_string(cause.pid) + ") " +
      (cause.hang.empty() ? describe(cause.process) + meaning(cause.process.exit_code)
                          : "hangs: " + cause.hang) +
      last_operation(cause.row);
  verdict.code = has_crashed(cause) ? kPeerLost : cause.process.exit_code;
  verdict.is_retryable = verdict.code == kPeerLost;
  verdict.remedy = verdict.is_retryable
                       ? "run the same command again to go on from the last checkpoint; "
                         "--restarts does so by itself"
                       : "see what it printed above";
  if (cause.hang.empty() && cause.process.signal == SIGKILL)
    verdict.remedy += "; if nobody killed it, memory may have run out (see dmesg)";
  return verdict;
}

Verdict stopped(const std::vector<WorkerEnd>& ends, int stop_signal) {
  const bool has_interrupt =
      stop_signal == SIGINT || (stop_signal == 0 && std::ranges::any_of(ends, [](const auto& end) {
                                  return end.process.exit_code == kInterrupted;
                                }));
  const bool was_killed =
      std::ranges::any_of(ends, [](const auto& end) { return end.process.signal == SIGKILL; });
  Verdict verdict;
  verdict.code = has_interrupt ? kInterrupted : kPreempted;
  verdict.sentence = std::string(has_interrupt ? "interrupted" : "asked to stop") +
                     (was_killed ? "; workers that did not stop in time were killed, and steps "
                                   "after the last checkpoint are lost"
                                 : "; all workers stopped");
  verdict.remedy = "run the same command again to continue";
  return verdict;
}

}  // namespace

Verdict judge(const std::vector<WorkerEnd>& ends, int stop_signal) {
  const WorkerEnd* cause = nullptr;
  for (const auto& end : ends)
    if (has_failed(end) && (cause == nullptr || priority(end) < priority(*cause))) cause = &end;
  if (cause != nullptr) return failure(*cause);
  const bool is_done =
      std::ranges::all_of(ends, [](const auto& end) { return end.process.exit_code == 0; });
  return is_done ? Verdict{} : stopped(ends, stop_signal);
}

std::string describe(int rank, pid_t pid, const WorkerRow& row) {
  return "rank " + std::to_string(rank) + " (pid " + std::to_string(pid) + "): " +
         (row.operation.empty()
              ? "no operation yet"
              : (row.step >= 0 ? "step " + std::to_string(row.step) + ", " : "") + "'" +
                    row.operation + "' since " + seconds_text(row.operation_age_s));
}

}  // namespace qtk::dist
