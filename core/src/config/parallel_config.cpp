// Names, bounds and sentences of the keys of a run of several processes.
#include "config/parallel_config.hpp"

#include <qtk/runtime/error.hpp>

namespace qtk::config {

void ParallelSection::describe(OptionSet<ParallelSection>& o) {
  o.field("data", &ParallelSection::data)
      .range(1, 1 << 16)
      .unit("replica")
      .original("--data-group-size")
      .doc("Replicas of the model, each with its share of every batch.");
  o.field("pipeline", &ParallelSection::pipeline)
      .range(1, 1 << 16)
      .unit("stage")
      .original("--pipeline-group-size")
      .doc("Processes that share the layers of one replica.");
  o.field("schedule", &ParallelSection::schedule)
      .one_of({"gpipe", "1f1b"})
      .original("--pp-mode")
      .doc(
          "gpipe: all forward passes, then all backward passes; 1f1b: in turn, so that both "
          "directions of a link work at once.");
  o.field("split", &ParallelSection::split)
      .one_of({"parameters", "flops"})
      .doc("What is balanced when layers are shared out; embedding and head count.");
  o.field("layers", &ParallelSection::layers)
      .at_least(0)
      .original("--num-layers")
      .doc("Layers of every stage, such as [8, 8, 7, 7], in place of `split`.");
  o.field("shard_optimizer", &ParallelSection::shard_optimizer)
      .original("--dp-mode")
      .doc("Each replica keeps the moments of its share of the weights only.");
}

void ParallelSection::validate() const {
  if (!layers.empty() && static_cast<int64_t>(layers.size()) != pipeline)
    throw ConfigError("`layers` names " + std::to_string(layers.size()) +
                          " stages, but `pipeline` is " + std::to_string(pipeline),
                      "give one number per stage, or remove the key");
}

void CommSection::describe(OptionSet<CommSection>& o) {
  o.field("warmup_steps", &CommSection::warmup_steps)
      .at_least(0)
      .unit("step")
      .original("--warmup-epochs")
      .doc("Steps at the beginning that send uncompressed.");
  o.field("rate_mbit", &CommSection::rate_mbit)
      .at_least(0)
      .unit("Mbit/s")
      .doc("Slows every direction of every link to this rate, to try a slow network; 0: off.");
  o.field("burst_bytes", &CommSection::burst_bytes)
      .at_least(0)
      .unit("byte")
      .doc("What an idle link of limited rate may send at once.");
  o.field("latency_ms", &CommSection::latency_ms)
      .at_least(0)
      .unit("ms")
      .doc("Delay added to every message, to try a distant network.");
  o.field("checksum", &CommSection::checksum)
      .doc(
          "Adds a hash (XXH3, 8 bytes) to every message and stops at one that was damaged on the "
          "way.");
}

void CommSection::sections(SectionSet<CommSection>& s) {
  s.section("forward", &CommSection::forward)
      .doc("Compressor of activations; without one they are sent as they are.");
  s.section("backward", &CommSection::backward)
      .doc("Compressor of their gradients; without one they are sent as they are.");
  s.section("data", &CommSection::data)
      .doc(
          "Compressor of the gradients that replicas average, with error feedback at both ends; "
          "without one the average is exact.");
}

void TimeoutSection::describe(OptionSet<TimeoutSection>& o) {
  o.field("heartbeat_s", &TimeoutSection::heartbeat_s)
      .range(0.05, 60)
      .unit("s")
      .doc("Every process says this often that it is there.");
  o.field("missed", &TimeoutSection::missed)
      .range(2, 1000)
      .doc("So many heartbeats may be missing before a process counts as lost.");
  o.field("operation_s", &TimeoutSection::operation_s)
      .at_least(0.5)
      .unit("s")
      .doc("Longest wait for one message or collective.");
  o.field("step_factor", &TimeoutSection::step_factor)
      .at_least(2)
      .doc("A step may take this many times the median step ...");
  o.field("step_floor_s", &TimeoutSection::step_floor_s)
      .at_least(1)
      .unit("s")
      .doc("... and never less than this, before it counts as hung.");
  o.field("rendezvous_s", &TimeoutSection::rendezvous_s)
      .at_least(1)
      .unit("s")
      .doc("Longest wait for all processes to appear.");
  o.field("grace_s", &TimeoutSection::grace_s)
      .at_least(1)
      .unit("s")
      .doc("Longest time from being asked to stop to the saved checkpoint.");
}

void TimeoutSection::validate() const {
  const double lost_s = heartbeat_s * static_cast<double>(missed);
  if (lost_s >= operation_s)
    throw ConfigError(
        "a process counts as lost after heartbeat_s * missed = " + std::to_string(lost_s) +
            " s, not before operation_s = " + std::to_string(operation_s) + " s",
        "raise operation_s, or lower the heartbeat");
  if (operation_s > rendezvous_s)
    throw ConfigError("operation_s = " + std::to_string(operation_s) +
                          " s is longer than rendezvous_s = " + std::to_string(rendezvous_s) + " s",
                      "raise rendezvous_s");
}

void DistSection::describe(OptionSet<DistSection>& o) {
  o.field("interface", &DistSection::interface)
      .doc(
          "Network interface of this process's traffic, such as eth0; empty: the one that the "
          "address of rank 0 leads to.");
  o.field("trace", &DistSection::trace)
      .original("--profiling")
      .doc("Write trace/rank<N>.json for chrome://tracing or ui.perfetto.dev.");
}

void DistSection::sections(SectionSet<DistSection>& s) {
  s.section("timeouts", &DistSection::timeouts).doc("How long anything may take.");
}

}  // namespace qtk::config
