// qtk simulate: how long a training step of many ranks would take, and what bounds it
#include "base/atomic_file.hpp"
#include "command_line.hpp"
#include "dist/simulation/simulation_plan.hpp"
#include "simulation_output.hpp"
#include "verb.hpp"

#include <qtk/runtime/error.hpp>

#include <nlohmann/json.hpp>

#include <charconv>
#include <cmath>
#include <iostream>

namespace qtk::app {
namespace {

namespace po = boost::program_options;
using nlohmann::json;
using Texts = std::vector<std::string>;

/// Numbers separated by commas, each above zero.
std::vector<double> numbers_of(const std::string& flag, const std::string& text) {
  std::vector<double> numbers;
  for (const char *at = text.data(), *end = at + text.size(); at <= end;) {
    double value = 0;
    const auto read = std::from_chars(at, end, value);
    if (read.ec != std::errc() || !(value > 0) || (read.ptr != end && *read.ptr != ','))
      throw ConfigError("--" + flag + " " + text + " is no list of numbers above 0",
                        "separate them by commas: 100,300,1000");
    numbers.push_back(value);
    at = read.ptr + 1;
  }
  return numbers;
}

SimulationOutcome outcome_of(const dist::SimulationPlan& plan, const dist::PipelineModel& model) {
  SimulationOutcome outcome{model, dist::simulate(model), dist::step_bounds(model), {}, 0};
  outcome.bound_by = dist::bounding_resource(outcome.bounds, outcome.simulation);
  outcome.uncompressed_step_s = dist::simulate(dist::uncompressed(plan, model)).step_s;
  return outcome;
}

dist::SimulationRequest request_of(const CommandLine& line) {
  dist::SimulationRequest request{.config = line.required("config"),
                                  .overrides = line.texts("set"),
                                  .steps = line.count("steps"),
                                  .seed = static_cast<uint64_t>(line.count("seed")),
                                  .shares_egress = line.has("shared-egress"),
                                  .keeps_timeline = line.has("trace")};
  if (line.has("profile")) request.profile = line.text("profile");
  if (line.has("link")) request.link = line.text("link");
  if (line.has("gflops")) request.gflops = line.amount("gflops");
  if (line.has("rate-mbit")) request.rate_mbit = line.amount("rate-mbit");
  if (line.has("latency-ms")) request.latency_ms = line.amount("latency-ms");
  if (line.has("share-spread")) {
    if (!request.shares_egress)
      throw ConfigError("--share-spread is given, but messages do not share an egress",
                        "add --shared-egress");
    request.share_spread = line.amount("share-spread");
  }
  if (line.has("cores")) request.cores = line.count("cores");
  if (line.has("ranks-per-host")) request.ranks_per_host = line.count("ranks-per-host");
  if (line.has("jitter")) request.jitter = line.amount("jitter");
  if (line.has("ranks")) {
    const auto ranks = numbers_of("ranks", line.text("ranks"));
    if (ranks.size() != 2 || ranks[0] != std::floor(ranks[0]) || ranks[1] != std::floor(ranks[1]) ||
        ranks[0] * ranks[1] > 1e6)
      throw ConfigError("--ranks " + line.text("ranks") + " is not D,P",
                        "give replicas and stages, for example --ranks 2,4, up to a million ranks");
    request.ranks = {{static_cast<int64_t>(ranks[0]), static_cast<int64_t>(ranks[1])}};
  }
  const std::string receives = line.text("receives");
  if (receives == "when-needed")
    request.receives = dist::ReceiveRule::kWhenNeeded;
  else if (receives != "at-step-start")
    throw ConfigError("--receives " + receives + " is unknown", "use at-step-start or when-needed");
  return request;
}

void declare_simulation_flags(CommandLine& line) {
  line.flags()("config", po::value<std::string>(), "the YAML file")(
      "set", po::value<Texts>()->composing(),
      "overrides one value, for example "
      "--set parallel.schedule=gpipe; repeatable")(
      "profile", po::value<std::string>(), "timing.json of a run: measured costs per stage")(
      "gflops", po::value<double>(), "without --profile: what a rank sustains")(
      "link", po::value<std::string>(), "link.json of qtk bench link")(
      "rate-mbit", po::value<double>(), "of a link and direction; default: comm.rate_mbit")(
      "latency-ms", po::value<double>(), "of a link; default: comm.latency_ms")(
      "shared-egress", "messages that leave a rank share one rate")(
      "share-spread", po::value<double>(),
      "with --shared-egress: how unevenly they share it, standard deviation of the logarithm of a "
      "message's weight; default: 0")(
      "cores", po::value<int64_t>(),
      "of a host, shared by its ranks and the work for their messages; default: one per rank")(
      "ranks-per-host", po::value<int64_t>(), "with --cores; default: all are on one host")(
      "receives", po::value<std::string>()->default_value("at-step-start"),
      "when receives are posted: at-step-start or when-needed")(
      "ranks", po::value<std::string>(), "D,P instead of parallel.data and parallel.pipeline")(
      "steps", po::value<int64_t>()->default_value(3), "simulated one after another")(
      "jitter", po::value<double>(), "standard deviation of a pass, as a part of its time")(
      "seed", po::value<int64_t>()->default_value(0), "of the jitter")(
      "sweep-rate", po::value<std::string>(), "rates in Mbit/s, separated by commas")(
      "trace", po::value<std::string>(), "file for the timeline, for chrome://tracing")(
      "json", "one JSON object on stdout");
  line.positional("config");
}

int sweep(const CommandLine& line, dist::SimulationRequest request) {
  const auto rates = numbers_of("sweep-rate", line.text("sweep-rate"));
  request.rate_mbit = rates.front();
  const auto plan = dist::plan_simulation(request);
  std::vector<SimulationOutcome> outcomes;
  for (const double mbit : rates) {
    dist::PipelineModel model = plan.model;
    model.link.rate_bits_s = model.data_link.rate_bits_s = mbit * 1e6;
    outcomes.push_back(outcome_of(plan, model));
  }
  if (!line.has("json")) {
    print_plan(plan);
    print_sweep(plan, outcomes);
    return 0;
  }
  json list = json::array();
  for (const SimulationOutcome& outcome : outcomes) list.push_back(outcome_json(plan, outcome));
  std::cout << json{{"sweep", list}, {"notes", plan.notes}}.dump(2) << "\n";
  return 0;
}

}  // namespace

int simulate(Arguments arguments) {
  CommandLine line("qtk simulate CONFIG [--profile FILE | --gflops N] [--link FILE] [--json]",
                   "Simulates training steps of many ranks: time, bubble, links, what bounds them.",
                   "qtk simulate run.yaml --gflops 40 --sweep-rate 100,300,1000");
  declare_simulation_flags(line);
  line.parse(arguments);
  if (line.has("sweep-rate") && (line.has("trace") || line.has("rate-mbit")))
    throw ConfigError("--sweep-rate cannot be combined with --trace or --rate-mbit",
                      "choose one rate, or several");
  if (line.has("sweep-rate")) return sweep(line, request_of(line));
  const auto plan = dist::plan_simulation(request_of(line));
  const SimulationOutcome outcome = outcome_of(plan, plan.model);
  if (line.has("trace"))
    write_file_atomically(line.text("trace"), dist::chrome_trace(outcome.simulation.timeline));
  if (line.has("json")) {
    json result = outcome_json(plan, outcome);
    result["notes"] = plan.notes;
    std::cout << result.dump(2) << "\n";
    return 0;
  }
  print_plan(plan);
  print_outcome(plan, outcome);
  return 0;
}

}  // namespace qtk::app
