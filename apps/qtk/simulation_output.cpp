#include "simulation_output.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

namespace qtk::app {
namespace {

using dist::PipelineModel;
using dist::Simulation;
using nlohmann::json;

constexpr int64_t kMostRows = 16;  // of a table; JSON has all

double busiest_share(const Simulation& simulation) {
  double share = 0;
  for (const auto& link : simulation.links)
    share = std::max(share, link.busy_s / simulation.total_s());
  return share;
}

std::string counted(int64_t count, const std::string& noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : noun.ends_with("h") ? "es" : "s");
}

std::string rate_text(double bits_s) {
  if (bits_s == 0) return "unlimited";
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.7g Mbit/s", bits_s / 1e6);
  return text.data();
}

/// Another bound, if cores are shared.
std::string cores_text(const SimulationOutcome& outcome) {
  if (!outcome.model.shares_cores()) return "";
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), ", cores %.4f s", outcome.bounds.cores_s);
  return text.data();
}

std::string egress_text(const dist::LinkModel& link) {
  if (!link.shares_egress) return "a rate for every direction";
  if (link.share_spread == 0) return "one egress per rank";
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "one egress per rank, shares spread by %.3g",
                link.share_spread);
  return text.data();
}

void print_hosts(const PipelineModel& m) {
  const int64_t hosts = (m.num_ranks() + m.ranks_of_a_host() - 1) / m.ranks_of_a_host();
  std::printf("hosts      %s, each with %s for %s; a byte sent or received takes %.3g ns of one\n",
              counted(hosts, "host").c_str(), counted(m.cores, "core").c_str(),
              counted(m.ranks_of_a_host(), "rank").c_str(), 1e9 * m.link.send_cpu_s_per_byte);
}

void print_links(const Simulation& s, double steps) {
  std::printf("\n%-16s %16s %8s\n", "link", "bytes per step", "busy");
  int64_t rows = 0;
  for (const auto& link : s.links) {
    if (++rows > kMostRows) break;
    std::printf("%5lld -> %-5lld %16.0f %7.1f %%\n", static_cast<long long>(link.from),
                static_cast<long long>(link.to), link.bytes / steps,
                100 * link.busy_s / s.total_s());
  }
  if (std::ssize(s.links) > kMostRows)
    std::printf("... and %lld more; --json has all\n",
                static_cast<long long>(std::ssize(s.links) - kMostRows));
}

void print_ranks(const Simulation& s, double steps) {
  std::printf("\n%-6s %10s %10s %10s %10s %10s %10s   s per step\n", "rank", "forward", "backward",
              "codec+CPU", "exchange", "optimizer", "waiting");
  int64_t rank = 0;
  for (const auto& use : s.ranks) {
    if (rank == kMostRows) break;
    std::printf("%-6lld %10.4f %10.4f %10.4f %10.4f %10.4f %10.4f\n",
                static_cast<long long>(rank++), use.forward_s / steps, use.backward_s / steps,
                (use.encode_s + use.decode_s + use.cpu_s) / steps, use.exchange_s / steps,
                use.optimizer_s / steps, (s.total_s() - use.busy_s()) / steps);
  }
  if (std::ssize(s.ranks) > kMostRows)
    std::printf("... and %lld more; --json has all\n",
                static_cast<long long>(std::ssize(s.ranks) - kMostRows));
}

}  // namespace

nlohmann::json outcome_json(const dist::SimulationPlan& plan, const SimulationOutcome& outcome) {
  const auto& s = outcome.simulation;
  const auto steps = static_cast<double>(outcome.model.steps);
  json ranks = json::array(), links = json::array();
  for (const auto& use : s.ranks)
    ranks.push_back({{"forward_s", use.forward_s / steps},
                     {"backward_s", use.backward_s / steps},
                     {"encode_s", use.encode_s / steps},
                     {"decode_s", use.decode_s / steps},
                     {"cpu_s", use.cpu_s / steps},
                     {"exchange_s", use.exchange_s / steps},
                     {"optimizer_s", use.optimizer_s / steps},
                     {"idle_s", (s.total_s() - use.busy_s()) / steps}});
  for (const auto& link : s.links)
    links.push_back({{"from", link.from},
                     {"to", link.to},
                     {"bytes_per_step", link.bytes / steps},
                     {"busy_share", link.busy_s / s.total_s()}});
  json result = {{"replicas", outcome.model.replicas},
                 {"stages", outcome.model.num_stages()},
                 {"simulated_replicas", s.simulated_replicas},
                 {"micro_batches", outcome.model.micro_batches},
                 {"steps", outcome.model.steps},
                 {"rate_bits_s", outcome.model.link.rate_bits_s},
                 {"latency_s", outcome.model.link.latency_s},
                 {"shares_egress", outcome.model.link.shares_egress},
                 {"forward_bytes", outcome.model.forward_bytes},
                 {"backward_bytes", outcome.model.backward_bytes},
                 {"uncompressed_bytes", plan.uncompressed_bytes},
                 {"costs_from", plan.costs_from},
                 {"step_s", s.step_s},
                 {"step_ends_s", s.step_ends},
                 {"tokens_per_s", plan.tokens_per_step / s.step_s},
                 {"bubble_fraction", s.bubble_fraction},
                 {"bounds",
                  {{"compute_s", outcome.bounds.compute_s},
                   {"link_s", outcome.bounds.link_s},
                   {"exchange_s", outcome.bounds.exchange_s}}},
                 {"bound_by", outcome.bound_by},
                 {"uncompressed_step_s", outcome.uncompressed_step_s},
                 {"events", s.events},
                 {"ranks", ranks},
                 {"links", links}};
  if (outcome.model.shares_cores()) {
    result["cores"] = outcome.model.cores;
    result["ranks_per_host"] = outcome.model.ranks_of_a_host();
    result["bounds"]["cores_s"] = outcome.bounds.cores_s;
  }
  if (outcome.bounds.link_s > 0)
    result["link_bound_tokens_per_s"] = plan.tokens_per_step / outcome.bounds.link_s;
  if (plan.measured_step_s > 0) result["measured_step_s"] = plan.measured_step_s;
  return result;
}

void print_plan(const dist::SimulationPlan& plan) {
  const PipelineModel& m = plan.model;
  std::printf("%s of %s, %s, %s of %lld x %lld tokens\n", counted(m.replicas, "replica").c_str(),
              counted(m.num_stages(), "stage").c_str(), plan.schedule.c_str(),
              counted(m.micro_batches, "micro-batch").c_str(),
              static_cast<long long>(plan.micro_batch), static_cast<long long>(plan.ctx));
  std::printf("costs      %s\n", plan.costs_from.c_str());
  if (m.shares_cores()) print_hosts(m);
  if (m.num_stages() > 1) {
    std::printf("link       %s, latency %.3f ms, overhead %.3f ms, %s\n",
                rate_text(m.link.rate_bits_s).c_str(), 1e3 * m.link.latency_s,
                1e3 * m.link.overhead_s, egress_text(m.link).c_str());
    std::printf("messages   forward %.0f B (%s), backward %.0f B (%s); uncompressed %.0f B\n",
                m.forward_bytes, plan.forward_use.c_str(), m.backward_bytes,
                plan.backward_use.c_str(), plan.uncompressed_bytes);
  }
  if (m.simulated_replicas() < m.replicas)
    std::printf("replicas   all alike, so one of %lld is simulated\n",
                static_cast<long long>(m.replicas));
  for (const auto& note : plan.notes) std::printf("note       %s\n", note.c_str());
}

void print_outcome(const dist::SimulationPlan& plan, const SimulationOutcome& outcome) {
  const Simulation& s = outcome.simulation;
  std::printf("\nstep       %.4f s, %.0f tokens/s, bubble %.1f %%\n", s.step_s,
              plan.tokens_per_step / s.step_s, 100 * s.bubble_fraction);
  if (plan.measured_step_s > 0)
    std::printf("measured   %.4f s; the simulation is off by %+.1f %%\n", plan.measured_step_s,
                100 * (s.step_s / plan.measured_step_s - 1));
  std::printf("bounds     compute %.4f s, link %.4f s, gradient exchange %.4f s%s; bound by %s\n",
              outcome.bounds.compute_s, outcome.bounds.link_s, outcome.bounds.exchange_s,
              cores_text(outcome).c_str(), outcome.bound_by.c_str());
  if (outcome.bounds.link_s > 0)
    std::printf("ceiling    %.0f tokens/s through the links\n",
                plan.tokens_per_step / outcome.bounds.link_s);
  if (!s.links.empty())
    std::printf("gain       %.2f times as fast as with uncompressed messages (%.4f s)\n",
                outcome.uncompressed_step_s / s.step_s, outcome.uncompressed_step_s);
  const auto steps = static_cast<double>(outcome.model.steps);
  if (!s.links.empty()) print_links(s, steps);
  print_ranks(s, steps);
}

void print_sweep(const dist::SimulationPlan& plan, const std::vector<SimulationOutcome>& outcomes) {
  std::printf("\n%12s %10s %12s %8s %10s %16s %14s %6s\n", "Mbit/s", "step s", "tokens/s", "bubble",
              "link busy", "bound by", "uncompressed s", "gain");
  for (const SimulationOutcome& outcome : outcomes) {
    const Simulation& s = outcome.simulation;
    std::printf("%12.7g %10.4f %12.0f %6.1f %% %8.1f %% %16s %14.4f %6.2f\n",
                outcome.model.link.rate_bits_s / 1e6, s.step_s, plan.tokens_per_step / s.step_s,
                100 * s.bubble_fraction, 100 * busiest_share(s), outcome.bound_by.c_str(),
                outcome.uncompressed_step_s, outcome.uncompressed_step_s / s.step_s);
  }
}

}  // namespace qtk::app
