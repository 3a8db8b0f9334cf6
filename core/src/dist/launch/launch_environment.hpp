// Which process of how many this is, as whoever started it says: qtk launch, torchrun, Slurm or
// Open MPI, in this order. The one place that reads their variables (docs/launching.md lists them).
#pragma once

#include <functional>
#include <optional>
#include <string>

namespace qtk::dist {

struct LaunchEnvironment {
  std::string source;     // "qtk launch", "torchrun", "Slurm", "Open MPI", or "" (alone)
  std::string variables;  // that gave rank and world: "RANK, WORLD_SIZE"
  int rank = 0, world = 1;
  int local_rank = 0, local_world = 1;
  std::string master_address = "127.0.0.1";
  int master_port = 0;             // 0 only if world is 1
  std::string run_id;              // the same on all ranks of a run
  int attempt = 0;                 // how often the run was restarted: a fresh store prefix for each
  bool agent_hosts_store = false;  // torchrun's agent listens on the port already
};

/// Value of an environment variable; nothing if it is not set or empty.
using VariableLookup = std::function<std::optional<std::string>(const std::string& name)>;

/// @throws ConfigError if two sources contradict each other, one is incomplete, or a value is no
///         number or out of range; it names the variables
LaunchEnvironment detect_environment();
LaunchEnvironment detect_environment(const VariableLookup& lookup);

/// "rank 2 of 4 from torchrun (RANK, WORLD_SIZE)", or "one process".
std::string describe(const LaunchEnvironment& environment);

/// The first host of a Slurm node list: "node03" of "node[03-05,9],login1".
std::string first_host(const std::string& node_list);

}  // namespace qtk::dist
