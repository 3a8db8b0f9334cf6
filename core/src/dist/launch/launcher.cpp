#include "dist/launch/launcher.hpp"

#include "base/logging.hpp"
#include "dist/launch/launch_attempt.hpp"
#include "dist/launch/reserved_port.hpp"

#include <qtk/runtime/error.hpp>

#include <sched.h>
#include <sys/random.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <optional>

namespace qtk::dist {
namespace {

/// Machines that start apart can only agree on what they were all told.
std::string run_id_of(const LaunchPlan& plan) {
  if (plan.nodes > 1) return plan.rendezvous_host + ":" + std::to_string(plan.rendezvous_port);
  uint64_t number = 0;
  if (::getrandom(&number, sizeof(number), 0) != sizeof(number))
    throw IoError("no random numbers from the operating system");
  char text[17];
  std::snprintf(text, sizeof(text), "%016llx", static_cast<unsigned long long>(number));
  return text;
}

int usable_cores() {
  cpu_set_t cores;
  return ::sched_getaffinity(0, sizeof(cores), &cores) == 0 ? CPU_COUNT(&cores) : 1;
}

}  // namespace

std::map<std::string, std::string> worker_variables(const LaunchPlan& plan, int local_rank,
                                                    int attempt, int port,
                                                    const std::string& run_id) {
  std::map<std::string, std::string> variables = {
      {"QTK_RANK", std::to_string(plan.node_rank * plan.workers + local_rank)},
      {"QTK_WORLD_SIZE", std::to_string(plan.nodes * plan.workers)},
      {"QTK_LOCAL_RANK", std::to_string(local_rank)},
      {"QTK_LOCAL_WORLD_SIZE", std::to_string(plan.workers)},
      {"QTK_MASTER_ADDR", plan.rendezvous_host.empty() ? "127.0.0.1" : plan.rendezvous_host},
      {"QTK_MASTER_PORT", std::to_string(port)},
      {"QTK_RUN_ID", run_id},
      {"QTK_ATTEMPT", std::to_string(attempt)}};
  if (std::getenv("OMP_NUM_THREADS") == nullptr)
    variables["OMP_NUM_THREADS"] = std::to_string(std::max(1, usable_cores() / plan.workers));
  // Threads that spin while they wait take the cores from the other workers.
  if (std::getenv("OMP_WAIT_POLICY") == nullptr) variables["OMP_WAIT_POLICY"] = "passive";
  return variables;
}

Verdict launch(const LaunchPlan& plan) {
  if (!plan.log_folder.empty()) {
    std::error_code error;
    std::filesystem::create_directories(plan.log_folder, error);
    if (error) throw IoError("cannot make " + plan.log_folder.string() + ": " + error.message());
  }
  const std::string run_id = run_id_of(plan);
  WorkerGuard guard;
  StopSignals signals;
  auto board = WorkerBoard::create(plan.workers);
  for (int attempt = 0;; ++attempt) {
    board.clear();
    std::optional<ReservedPort> port;
    if (plan.rendezvous_host.empty()) port.emplace();
    const auto verdict = LaunchAttempt(plan, board, guard, signals)
                             .run(attempt, port ? port->number() : plan.rendezvous_port, run_id);
    if (!verdict.is_retryable || attempt >= plan.restarts || signals.first() != 0) return verdict;
    core_log().warn(verdict.sentence + "; all workers are started again (restart " +
                    std::to_string(attempt + 1) + " of " + std::to_string(plan.restarts) + ")");
  }
}

}  // namespace qtk::dist
