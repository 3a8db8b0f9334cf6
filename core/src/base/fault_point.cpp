#include "base/fault_point.hpp"

#include "base/nearest_name.hpp"

#include <qtk/runtime/error.hpp>

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cstdlib>
#include <optional>
#include <vector>

namespace qtk {
namespace {

const std::vector<std::string> kActions = {"kill", "stop", "pause", "hang", "exit", "term", "skip"};

/// Of the first variable that is set; 0 without any.
int number_in(std::initializer_list<const char*> variables) {
  for (const char* variable : variables)
    if (const char* value = std::getenv(variable)) return std::atoi(value);
  return 0;
}

/// What this process is to do; nothing if it is another's business or another attempt's.
std::optional<FaultPlan> own_plan() {
  const char* text = std::getenv("QTK_FAULT");
  if (text == nullptr || *text == '\0') return std::nullopt;
  auto plan = parse_fault(text);
  const int rank = number_in({"QTK_RANK", "RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK"});
  const int attempt =
      number_in({"QTK_ATTEMPT", "TORCHELASTIC_RESTART_COUNT", "SLURM_RESTART_COUNT"});
  if (rank != plan.rank || attempt != 0) return std::nullopt;
  return plan;
}

/// Stopped by a signal, and woken by a child after three seconds.
void pause_process() {
  const pid_t self = ::getpid();
  if (::fork() == 0) {
    ::sleep(3);
    ::kill(self, SIGCONT);
    ::_exit(0);
  }
  ::raise(SIGSTOP);
}

void act(const FaultPlan& plan) {
  const std::string line = "fault: " + plan.action + " at " + plan.phase + "\n";
  if (::write(2, line.data(), line.size()) < 0) return;
  if (plan.action == "kill") ::kill(::getpid(), SIGKILL);
  if (plan.action == "stop") ::kill(::getpid(), SIGSTOP);
  if (plan.action == "pause") pause_process();
  if (plan.action == "term") ::kill(::getpid(), SIGTERM);
  if (plan.action == "exit") ::_exit(1);
  while (plan.action == "hang") ::pause();
}

}  // namespace

FaultPlan parse_fault(const std::string& text) {
  std::vector<std::string> parts(1);
  for (const char letter : text) letter == ':' ? parts.emplace_back() : parts.back() += letter;
  const auto number = [](const std::string& part, int least) -> std::optional<int> {
    int value = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value);
    if (error != std::errc() || end != part.data() + part.size() || value < least) return {};
    return value;
  };
  if (parts.size() == 4 && !parts[0].empty() && std::ranges::count(kActions, parts[3]) == 1)
    if (const auto rank = number(parts[1], 0), count = number(parts[2], 1); rank && count)
      return {parts[0], *rank, *count, parts[3]};
  throw ConfigError("QTK_FAULT is '" + text + "', expected PHASE:RANK:COUNT:ACTION",
                    "unset it, it is for tests; actions: " + join(kActions));
}

bool fault_point(std::string_view phase) {
  static const auto plan = own_plan();
  static std::atomic<int> arrivals = 0;
  if (!plan || plan->phase != phase || ++arrivals != plan->count) return false;
  act(*plan);
  return plan->action == "skip";
}

}  // namespace qtk
