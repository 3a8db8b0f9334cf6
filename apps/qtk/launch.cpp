// qtk launch: starts a verb in several processes and watches them.
#include "command_line.hpp"
#include "dist/launch/launcher.hpp"
#include "verb.hpp"

#include <qtk/runtime/error.hpp>

#include <charconv>
#include <filesystem>

namespace qtk::app {
namespace {

namespace po = boost::program_options;

constexpr int64_t kMostWorkers = 1024;  // on one machine

/// Where the verb stands: the flags before it are the launcher's, what follows is the verb's.
size_t verb_position(Arguments arguments) {
  size_t at = 0;
  while (at < arguments.size() && arguments[at].starts_with("-")) {
    const std::string& word = arguments[at];
    const bool has_no_value = word == "-h" || word == "--help" || word == "-q" ||
                              word == "--quiet" || word == "-v" || word == "--verbose";
    at += has_no_value || word.find('=') != word.npos ? 1 : 2;
  }
  return std::min(at, arguments.size());
}

int in_range(const CommandLine& line, const std::string& flag, int64_t least, int64_t most) {
  const int64_t value = line.integer(flag);
  if (value < least || value > most)
    throw ConfigError("--" + flag + " is " + std::to_string(value) + ", expected " +
                          std::to_string(least) + " to " + std::to_string(most),
                      "see qtk launch --help");
  return static_cast<int>(value);
}

double seconds(const CommandLine& line, const std::string& flag) {
  const double value = line.number(flag);
  if (!(value >= 0 && value < 1e6))
    throw ConfigError(
        "--" + flag + " is " + std::to_string(value) + ", expected a number of seconds",
        "see qtk launch --help");
  return value;
}

void set_rendezvous(const CommandLine& line, dist::LaunchPlan& plan) {
  if (!line.has("rendezvous")) {
    if (plan.nodes > 1)
      throw ConfigError("--nodes " + std::to_string(plan.nodes) + " needs --rendezvous HOST:PORT",
                        "give all machines the address of the machine with --node-rank 0");
    return;
  }
  const std::string text = line.text("rendezvous");
  const size_t colon = text.rfind(':');
  int port = 0;
  if (colon != text.npos && colon > 0)
    std::from_chars(text.data() + colon + 1, text.data() + text.size(), port);
  if (port < 1 || port > 65535 || std::to_string(port) != text.substr(colon + 1))
    throw ConfigError("--rendezvous is '" + text + "', expected HOST:PORT",
                      "for example --rendezvous node03:29500");
  plan.rendezvous_host = text.substr(0, colon);
  plan.rendezvous_port = port;
}

void declare_flags(CommandLine& line) {
  const auto seconds = [](double value, const std::string& text) {
    return po::value<double>()->default_value(value, text);
  };
  line.flags()("nproc", po::value<int64_t>(), "processes on this machine")(
      "nodes", po::value<int64_t>()->default_value(1), "machines, each with as many processes")(
      "node-rank", po::value<int64_t>()->default_value(0), "which of the machines this is, from 0")(
      "rendezvous", po::value<std::string>(),
      "HOST:PORT where rank 0 waits for the others; needed with --nodes, else a free port")(
      "restarts", po::value<int64_t>()->default_value(0),
      "how often a run that lost a worker is started again")(
      "timeout-kill-s", seconds(5, "5"),
      "seconds that the survivors of a failure get to end by themselves")(
      "grace-s", seconds(25, "25"), "seconds that workers get to save when asked to stop")(
      "heartbeat-s", seconds(5, "5"), "seconds without a heartbeat after which a worker hangs")(
      "log-dir", po::value<std::string>(), "a folder for one log file per rank");
}

}  // namespace

int launch(Arguments arguments) {
  const size_t verb = verb_position(arguments);
  CommandLine line("qtk launch --nproc N [flags] VERB [arguments]",
                   "Runs a verb in several processes that form one run, and watches them: when one "
                   "dies or hangs, all end and its name, operation and step are shown.",
                   "qtk launch --nproc 4 run configs/pipeline_smollm2.yaml");
  declare_flags(line);
  line.parse(arguments.subspan(0, verb));
  if (!line.has("nproc"))
    throw ConfigError("--nproc is missing", "for example qtk launch --nproc 2 run CONFIG");
  dist::LaunchPlan plan;
  plan.workers = in_range(line, "nproc", 1, kMostWorkers);
  plan.nodes = in_range(line, "nodes", 1, 1 << 16);
  plan.node_rank = in_range(line, "node-rank", 0, plan.nodes - 1);
  set_rendezvous(line, plan);
  plan.restarts = static_cast<int>(std::min<int64_t>(line.count("restarts"), 1 << 20));
  plan.kill_s = seconds(line, "timeout-kill-s");
  plan.grace_s = seconds(line, "grace-s");
  plan.heartbeat_s = seconds(line, "heartbeat-s");
  if (line.has("log-dir")) plan.log_folder = line.text("log-dir");

  if (verb == arguments.size())
    throw ConfigError("no verb to launch", "for example qtk launch --nproc 2 run CONFIG");
  if (arguments[verb] == "launch")
    throw ConfigError("qtk launch cannot launch itself", "give it another verb, for example run");
  require_verb(arguments[verb]);
  plan.command = {std::filesystem::read_symlink("/proc/self/exe").string()};
  plan.command.insert(plan.command.end(), arguments.begin() + static_cast<std::ptrdiff_t>(verb),
                      arguments.end());
  const auto verdict = dist::launch(plan);
  if (verdict.code != 0)
    throw Error(verdict.sentence, verdict.remedy, static_cast<ExitCode>(verdict.code), "launch");
  return 0;
}

}  // namespace qtk::app
