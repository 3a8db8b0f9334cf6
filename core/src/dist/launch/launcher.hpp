// Starts the workers of a run on this machine and watches them: a worker that dies or hangs ends
// the run within seconds, by its name, whatever the transport between the workers notices.
#pragma once

#include "dist/launch/launch_verdict.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace qtk::dist {

struct LaunchPlan {
  std::vector<std::string> command;  // every worker's: the program and its arguments
  int workers = 1;                   // on this machine
  int nodes = 1, node_rank = 0;      // machines, each with as many workers
  std::string rendezvous_host;       // where rank 0 runs; "": this machine, at a free port
  int rendezvous_port = 0;
  int restarts = 0;        // how often a run that lost a worker is started again
  double kill_s = 5;       // between asking the survivors of a failure to end and killing them
  double grace_s = 25;     // for saving after a signal to the launcher
  double heartbeat_s = 5;  // a worker silent for longer hangs
  std::filesystem::path log_folder;  // one file per worker; "": none
};

/// Returns when no worker is left. SIGINT, SIGTERM, SIGUSR1 and SIGHUP that arrive meanwhile are
/// passed on to the workers. To be called from the main thread: workers die with their starter.
/// @throws IoError if a worker cannot be started
Verdict launch(const LaunchPlan& plan);

/// What qtk launch adds to the environment of a worker (see dist/launch_environment.hpp).
std::map<std::string, std::string> worker_variables(const LaunchPlan& plan, int local_rank,
                                                    int attempt, int port,
                                                    const std::string& run_id);

}  // namespace qtk::dist
