// The sections of a run of several processes: who computes what, what crosses the links, how long
// anything may take.
#pragma once

#include "config/plugin_node.hpp"
#include "config/section.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace qtk::config {

struct ParallelSection {
  int64_t data = 1;
  int64_t pipeline = 1;
  std::string schedule = "1f1b";
  std::string split = "parameters";
  std::vector<int64_t> layers;  // of every stage; empty: as `split` says
  bool shard_optimizer = false;
  static void describe(OptionSet<ParallelSection>& o);
  /// @throws ConfigError if `layers` does not name every stage
  void validate() const;

  int64_t world() const { return data * pipeline; }
};

/// What crosses the links of the pipeline, and what replicas exchange.
struct CommSection {
  std::optional<PluginNode<"comm">> forward, backward;  // absent: uncompressed
  std::optional<PluginNode<"comm">> data;               // absent: exact
  int64_t warmup_steps = 0;
  double rate_mbit = 0;
  int64_t burst_bytes = 65536;
  double latency_ms = 0;
  bool checksum = false;
  static void describe(OptionSet<CommSection>& o);
  static void sections(SectionSet<CommSection>& s);
};

struct TimeoutSection {
  double heartbeat_s = 1;
  int64_t missed = 5;
  double operation_s = 60;
  double step_factor = 10;
  double step_floor_s = 30;
  double rendezvous_s = 120;
  double grace_s = 25;
  static void describe(OptionSet<TimeoutSection>& o);
  /// @throws ConfigError unless every level is longer than the one below it
  void validate() const;
};

struct DistSection {
  std::string interface;
  bool trace = false;
  TimeoutSection timeouts;
  static void describe(OptionSet<DistSection>& o);
  static void sections(SectionSet<DistSection>& s);
};

}  // namespace qtk::config
