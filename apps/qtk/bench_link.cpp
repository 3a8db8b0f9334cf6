// qtk bench link: what the links between ranks do, for qtk simulate
#include "base/atomic_file.hpp"
#include "base/interrupt.hpp"
#include "base/progress.hpp"
#include "bench.hpp"
#include "command_line.hpp"
#include "dist/link_benchmark.hpp"

#include <qtk/runtime/error.hpp>

#include <nlohmann/json.hpp>

#include <cstdio>
#include <iostream>
#include <optional>

namespace qtk::app {
namespace {

namespace po = boost::program_options;
using dist::LinkFigures;

constexpr int64_t kMiB = 1 << 20;
// Pairs are measured in turn, and the others wait: on a slow link for many minutes.
constexpr dist::Seconds kLongestPair{3600};

void print_pairs(const std::vector<LinkFigures>& pairs) {
  for (const LinkFigures& pair : pairs) {
    std::printf("link %lld - %lld\n", static_cast<long long>(pair.from),
                static_cast<long long>(pair.to));
    std::printf("  round trip     %.4f ms: latency %.4f ms, overhead of a message %.4f ms\n",
                1e3 * pair.round_trip_s, 1e3 * pair.latency_s, 1e3 * pair.overhead_s);
    std::printf("  rate           %.1f Mbit/s one way, %.1f Mbit/s each way at once\n",
                1e-6 * pair.rate_bits_s, 1e-6 * pair.both_ways_bits_s);
    std::printf("  processor      %.3f ns a byte to send, %.3f ns to receive\n",
                1e9 * pair.send_cpu_s_per_byte, 1e9 * pair.receive_cpu_s_per_byte);
    std::printf("  %12s %14s %14s %16s\n", "bytes", "one way ms", "both ways ms", "one way Mbit/s");
    for (const auto& sample : pair.samples)
      std::printf("  %12lld %14.4f %14.4f %16.1f\n", static_cast<long long>(sample.bytes),
                  1e3 * sample.one_way_s, 1e3 * sample.both_ways_s,
                  8e-6 * static_cast<double>(sample.bytes) / sample.one_way_s);
    std::printf("  the line through the times one way is off by %.1f %% at most\n",
                100 * pair.fit_error);
  }
}

dist::LinkBenchmarkSettings settings_of(const CommandLine& line) {
  const dist::LinkBenchmarkSettings settings{.repeats = line.count("repeats"),
                                             .largest_bytes = line.count("largest-mib") * kMiB};
  if (settings.repeats == 0 || settings.largest_bytes == 0)
    throw ConfigError("--repeats and --largest-mib must be at least 1",
                      "leave them out for 3 and 16");
  return settings;
}

std::unique_ptr<dist::World> join(const CommandLine& line) {
  dist::WorldSetup setup{.environment = dist::detect_environment()};
  if (setup.environment.world < 2)
    throw ConfigError("a link needs two processes, and this is one",
                      "start it with  qtk launch --nproc 2 bench link");
  setup.stages = setup.environment.world;
  setup.interface = line.text("interface");
  setup.timeouts.operation = setup.timeouts.rendezvous = kLongestPair;
  auto world = dist::World::join(std::move(setup));
  world->open_groups(c10::kCPU);
  return world;
}

}  // namespace

int bench_link(Arguments arguments) {
  CommandLine line("qtk launch --nproc N bench link [--out FILE] [--json]",
                   "Measures the links between neighbouring ranks: latency, rate, processor time.",
                   "qtk launch --nproc 2 bench link --out link.json");
  line.flags()("out", po::value<std::string>(), "file for qtk simulate --link")(
      "repeats", po::value<int64_t>()->default_value(3), "of which times are the median")(
      "largest-mib", po::value<int64_t>()->default_value(16), "size of the largest message")(
      "interface", po::value<std::string>()->default_value(""),
      "network interface; default: the one that leads to rank 0")("json",
                                                                  "one JSON object on stdout");
  line.parse(arguments);
  const auto settings = settings_of(line);
  watch_interrupts();
  const auto world = join(line);
  std::optional<Progress> progress;
  if (world->is_chief()) progress.emplace("bench link", world->mesh().world() - 1, "pair");
  const auto pairs = dist::measure_links(*world, settings, [&](int first) {
    if (progress && first > 0) progress->advance(1);
  });
  if (world->is_chief()) {
    progress.reset();
    const std::string content = dist::link_json(pairs).dump(2) + "\n";
    if (line.has("out")) write_file_atomically(line.text("out"), content);
    if (line.has("json"))
      std::cout << content;
    else
      print_pairs(pairs);
  }
  world->close();
  return 0;
}

}  // namespace qtk::app
