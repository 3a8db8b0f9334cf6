#include "dist/launch/launch_environment.hpp"

#include <qtk/runtime/error.hpp>

#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <string_view>

namespace qtk::dist {
namespace {

constexpr int64_t kMostRanks = 1 << 20, kMostRestarts = std::numeric_limits<int>::max();
// Ports derived from a job's number: below the range that Linux gives to outgoing connections.
constexpr int64_t kFirstDerivedPort = 20000, kDerivedPorts = 12000;
// Slurm numbers the steps of batch scripts, interactive shells and the like from here on.
constexpr int64_t kFirstSpecialStep = 4294967000;

class Variables {
 public:
  Variables(const VariableLookup& lookup, std::string source)
      : lookup_(lookup), source_(std::move(source)) {}

  bool has(const std::string& name) const { return lookup_(name).has_value(); }
  std::optional<std::string> text(const std::string& name) const { return lookup_(name); }
  std::string text(const std::string& name, const std::string& otherwise) const {
    return lookup_(name).value_or(otherwise);
  }
  std::string required_text(const std::string& name) const {
    if (auto value = lookup_(name)) return *value;
    throw ConfigError("the environment of " + source_ + " is incomplete: " + name + " is not set",
                      "set it, or start the processes with qtk launch (docs/launching.md)");
  }
  int64_t integer(const std::string& name, int64_t least, int64_t most) const {
    return parse(name, required_text(name), least, most);
  }
  int64_t integer(const std::string& name, int64_t least, int64_t most, int64_t otherwise) const {
    const auto value = lookup_(name);
    return value ? parse(name, *value, least, most) : otherwise;
  }
  int64_t parse(const std::string& name, std::string_view text, int64_t least, int64_t most) const {
    int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error == std::errc() && end == text.data() + text.size() && number >= least &&
        number <= most)
      return number;
    throw ConfigError("environment variable " + name + "=" + std::string(text) + " (" + source_ +
                          "): expected an integer in [" + std::to_string(least) + ", " +
                          std::to_string(most) + "]",
                      "correct it, or unset the variables of " + source_);
  }

 private:
  const VariableLookup& lookup_;
  std::string source_;
};

/// Names of the variables that give rank, world and the place on this machine; "" for none.
struct PlaceNames {
  std::string rank, world, local_rank, local_world;
};

LaunchEnvironment placed(const Variables& variables, const std::string& source,
                         const PlaceNames& names) {
  LaunchEnvironment found;
  found.source = source;
  found.variables = names.rank + ", " + names.world;
  const int64_t world = variables.integer(names.world, 1, kMostRanks);
  found.world = static_cast<int>(world);
  found.rank = static_cast<int>(variables.integer(names.rank, 0, world - 1));
  const int64_t local_world = variables.integer(names.local_world, 1, world, 1);
  found.local_world = static_cast<int>(local_world);
  found.local_rank = static_cast<int>(variables.integer(names.local_rank, 0, local_world - 1, 0));
  return found;
}

LaunchEnvironment read_qtk(const VariableLookup& lookup) {
  const Variables variables(lookup, "qtk launch");
  auto found = placed(variables, "qtk launch",
                      {"QTK_RANK", "QTK_WORLD_SIZE", "QTK_LOCAL_RANK", "QTK_LOCAL_WORLD_SIZE"});
  found.master_address = variables.required_text("QTK_MASTER_ADDR");
  found.master_port = static_cast<int>(variables.integer("QTK_MASTER_PORT", 1, 65535));
  found.run_id = variables.required_text("QTK_RUN_ID");
  found.attempt = static_cast<int>(variables.integer("QTK_ATTEMPT", 0, kMostRestarts));
  return found;
}

LaunchEnvironment read_torchrun(const VariableLookup& lookup) {
  const Variables variables(lookup, "torchrun");
  auto found =
      placed(variables, "torchrun", {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"});
  if (found.world > 1) {
    found.master_address = variables.required_text("MASTER_ADDR");
    found.master_port = static_cast<int>(variables.integer("MASTER_PORT", 1, 65535));
  }
  found.run_id = variables.text("TORCHELASTIC_RUN_ID", "torchrun");
  found.attempt =
      static_cast<int>(variables.integer("TORCHELASTIC_RESTART_COUNT", 0, kMostRestarts, 0));
  const std::string agent = variables.text("TORCHELASTIC_USE_AGENT_STORE", "False");
  found.agent_hosts_store = agent == "True" || agent == "true" || agent == "1";
  return found;
}

/// Tasks on node `node` by Slurm's "4(x2),3": 4, 4, 3.
int64_t tasks_of_node(const Variables& variables, const std::string& name, int64_t node) {
  const std::string list = variables.required_text(name);
  int64_t tasks = 1;
  for (size_t at = 0; at < list.size() && node >= 0;) {
    const size_t comma = std::min(list.find(',', at), list.size());
    const std::string_view entry = std::string_view(list).substr(at, comma - at);
    const size_t times = entry.find("(x");
    tasks = variables.parse(name, entry.substr(0, times), 1, kMostRanks);
    const bool is_repeated = times != entry.npos && entry.back() == ')';
    node -= is_repeated ? variables.parse(name, entry.substr(times + 2, entry.size() - times - 3),
                                          1, kMostRanks)
                        : 1;
    at = comma + 1;
  }
  return tasks;
}

LaunchEnvironment read_slurm(const VariableLookup& lookup) {
  const Variables variables(lookup, "Slurm");
  const std::string world =
      variables.has("SLURM_STEP_NUM_TASKS") ? "SLURM_STEP_NUM_TASKS" : "SLURM_NTASKS";
  auto found = placed(variables, "Slurm", {"SLURM_PROCID", world, "", ""});
  int64_t local_world = found.world;
  if (variables.has("SLURM_STEP_TASKS_PER_NODE"))
    local_world = tasks_of_node(variables, "SLURM_STEP_TASKS_PER_NODE",
                                variables.integer("SLURM_NODEID", 0, kMostRanks, 0));
  else
    local_world = variables.integer("SLURM_NTASKS_PER_NODE", 1, kMostRanks, found.world);
  found.local_world = static_cast<int>(std::min<int64_t>(local_world, found.world));
  found.local_rank = static_cast<int>(variables.integer("SLURM_LOCALID", 0, found.local_world - 1));

  const int64_t job = variables.integer("SLURM_JOB_ID", 0, std::numeric_limits<uint32_t>::max());
  const int64_t step = variables.integer("SLURM_STEP_ID", 0, kFirstSpecialStep);
  found.run_id = "slurm-" + std::to_string(job) + "." + std::to_string(step);
  found.attempt = static_cast<int>(variables.integer("SLURM_RESTART_COUNT", 0, kMostRestarts, 0));
  if (found.world == 1) return found;
  found.master_port = static_cast<int>(variables.integer(
      "MASTER_PORT", 1, 65535, kFirstDerivedPort + (job * 10 + step) % kDerivedPorts));
  if (const auto address = variables.text("MASTER_ADDR"))
    found.master_address = *address;
  else if (found.local_world < found.world)
    found.master_address = first_host(
        variables.text("SLURM_STEP_NODELIST", variables.text("SLURM_JOB_NODELIST").value_or("")));
  if (found.master_address.empty()) variables.required_text("SLURM_STEP_NODELIST");
  return found;
}

LaunchEnvironment read_open_mpi(const VariableLookup& lookup) {
  const Variables variables(lookup, "Open MPI");
  auto found = placed(variables, "Open MPI",
                      {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK",
                       "OMPI_COMM_WORLD_LOCAL_SIZE"});
  const std::string job =
      variables.text("PMIX_NAMESPACE", variables.text("OMPI_MCA_ess_base_jobid", ""));
  found.run_id = job.empty() ? "mpirun" : job;
  if (found.world == 1) return found;
  const bool is_local = found.local_world == found.world;
  for (const char* name : {"MASTER_ADDR", "MASTER_PORT"})
    if (!variables.has(name) && !(is_local && (name == std::string("MASTER_ADDR") || !job.empty())))
      throw ConfigError(
          std::string("Open MPI does not say where the ranks meet: ") + name + " is not set",
          "add it for all ranks: mpirun -x MASTER_ADDR=HOST_OF_RANK_0 -x MASTER_PORT=29500 ...");
  found.master_address = variables.text("MASTER_ADDR", found.master_address);
  int64_t hash = 0;
  for (const unsigned char letter : job) hash = (hash * 131 + letter) % kDerivedPorts;
  found.master_port =
      static_cast<int>(variables.integer("MASTER_PORT", 1, 65535, kFirstDerivedPort + hash));
  return found;
}

/// A Slurm batch script, or a shell in an allocation, is one process whatever SLURM_NTASKS says.
bool is_slurm_task(const VariableLookup& lookup) {
  const auto step = lookup("SLURM_STEP_ID");
  if (!step || !lookup("SLURM_PROCID")) return false;
  return Variables(lookup, "Slurm")
             .parse("SLURM_STEP_ID", *step, 0, std::numeric_limits<uint32_t>::max()) <
         kFirstSpecialStep;
}

void require_agreement(const LaunchEnvironment& chosen, const LaunchEnvironment& other) {
  if (chosen.rank == other.rank && chosen.world == other.world) return;
  throw ConfigError(
      "two launchers contradict each other: " + describe(chosen) + ", but " + describe(other),
      "unset the variables of the one that did not start this process, for example "
      "env -u " +
          other.variables.substr(0, other.variables.find(',')) + " qtk ...");
}

}  // namespace

LaunchEnvironment detect_environment(const VariableLookup& lookup) {
  // Whoever starts processes in somebody else's allocation sets its own variables last; so these
  // two are right where they are sure to have started this very process.
  if (lookup("QTK_RANK")) return read_qtk(lookup);
  const bool has_torchrun = lookup("RANK") || lookup("WORLD_SIZE");
  if (has_torchrun && lookup("TORCHELASTIC_RUN_ID")) return read_torchrun(lookup);

  std::optional<LaunchEnvironment> chosen;
  const auto add = [&](LaunchEnvironment found) {
    if (chosen)
      require_agreement(*chosen, found);
    else
      chosen = std::move(found);
  };
  if (has_torchrun) add(read_torchrun(lookup));
  if (is_slurm_task(lookup)) add(read_slurm(lookup));
  if (lookup("OMPI_COMM_WORLD_RANK")) add(read_open_mpi(lookup));
  return chosen.value_or(LaunchEnvironment{});
}

LaunchEnvironment detect_environment() {
  return detect_environment([](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    if (value == nullptr || *value == '\0') return std::nullopt;
    return value;
  });
}

std::string describe(const LaunchEnvironment& environment) {
  if (environment.source.empty()) return "one process";
  return "rank " + std::to_string(environment.rank) + " of " + std::to_string(environment.world) +
         " from " + environment.source + " (" + environment.variables + ")";
}

std::string first_host(const std::string& node_list) {
  std::string host;
  for (size_t at = 0; at < node_list.size() && node_list[at] != ','; ++at) {
    if (node_list[at] != '[') {
      host += node_list[at];
      continue;
    }
    const size_t close = std::min(node_list.find(']', at), node_list.size());
    const size_t end = std::min(node_list.find_first_of(",-]", at), node_list.size());
    host += node_list.substr(at + 1, end - at - 1);
    at = close;
  }
  return host;
}

}  // namespace qtk::dist
