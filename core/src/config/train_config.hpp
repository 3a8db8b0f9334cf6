// The sections of a run that trains: its data, its length, its optimizer.
#pragma once

#include "config/plugin_node.hpp"
#include "config/section.hpp"

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace qtk::config {

/// Texts, or token files made earlier: shards `*.bin` of little-endian uint16 without a header.
struct TrainData {
  std::vector<std::string> files;
  std::vector<std::string> shards;
  std::string format = "text";
  std::string field = "text";
  int64_t ctx = 1024;
  std::string packing = "packed";
  static void describe(OptionSet<TrainData>& o);
};

/// What drives the quantizer's knobs, and what it knows about the layers.
struct SchedulerSection {
  std::string use;
  Node options = Node::map();
  std::string sensitivity;  // a file; empty: what the calibrate stage measured
  SourceMark mark;
  std::string path;
  static void describe(OptionSet<SchedulerSection>& o);
  static void sections(SectionSet<SchedulerSection>& s);
};

struct DistillSection {
  double weight = 0;
  double temperature = 1;
  static void describe(OptionSet<DistillSection>& o);
};

struct TrainSection {
  // Exactly one of the three says how long.
  int64_t tokens = 0;
  int64_t steps = 0;
  double epochs = 0;
  int64_t global_batch = 8;  // windows of an optimizer step
  int64_t micro_batch = 1;   // windows of a forward pass; divides global_batch
  std::string precision = "auto";
  double clip = 1;
  std::optional<PluginNode<"scheduler">> lr_schedule;
  bool activation_checkpointing = false;
  bool train_rest = true;
  DistillSection distill;
  int64_t eval_every = 0;
  int64_t log_every = 10;
  int64_t checkpoint_every = 200;
  int64_t keep = 3;
  std::string result = "last";
  std::string on_nan = "stop";
  double divergence_factor = 0;
  static void describe(OptionSet<TrainSection>& o);
  static void sections(SectionSet<TrainSection>& s);
};

/// What differs for the tensors of one group; NaN and empty: as in `optimizer`.
struct OptimizerGroup {
  double lr = std::numeric_limits<double>::quiet_NaN();
  std::vector<double> betas;
  double eps = std::numeric_limits<double>::quiet_NaN();
  double weight_decay = std::numeric_limits<double>::quiet_NaN();
  static void describe(OptionSet<OptimizerGroup>& o);
};

struct OptimizerSection {
  double lr = 5e-5;
  std::vector<double> betas = {0.9, 0.95};
  double eps = 1e-8;
  double weight_decay = 0.01;
  std::map<std::string, OptimizerGroup> groups;  // by the group that a method gives its tensors
  static void describe(OptionSet<OptimizerSection>& o);
  static void sections(SectionSet<OptimizerSection>& s);
};

}  // namespace qtk::config
