#include "stage/parallel_training.hpp"

#include "base/atomic_file.hpp"
#include "base/processor_time.hpp"
#include "model/decoder_config.hpp"

#include <nlohmann/json.hpp>

#include <map>

namespace qtk::stage {
namespace {

using dist::Lane;
using nlohmann::json;

std::vector<dist::LayerRange> layer_ranges(const Run& run, const model::DecoderConfig& config) {
  const auto& parallel = run.config.parallel;
  if (!parallel.layers.empty()) return dist::split_layers(config, parallel.layers);
  return dist::split_layers(config, parallel.pipeline, dist::balance_from(parallel.split),
                            run.config.data.train->ctx);
}

dist::LinkShape shape_of(const config::CommSection& comm) {
  return {.bytes_per_second = comm.rate_mbit * 1e6 / 8,
          .burst_bytes = comm.burst_bytes,
          .latency = std::chrono::duration<double>(comm.latency_ms * 1e-3)};
}

/// Seconds of each kind of work. @param seconds  of a lane and the name of a work in it
template <class Seconds>
json work_of(const Seconds& seconds) {
  return {{"forward_s", seconds(Lane::kForwardCompute, "comp")},
          {"backward_s", seconds(Lane::kBackwardCompute, "comp")},
          {"encode_forward_s", seconds(Lane::kForwardSend, "encode")},
          {"decode_forward_s", seconds(Lane::kForwardReceive, "decode")},
          {"encode_backward_s", seconds(Lane::kBackwardSend, "encode")},
          {"decode_backward_s", seconds(Lane::kBackwardReceive, "decode")},
          {"optimizer_s", seconds(Lane::kOptimizerCompute, "opt_comp")}};
}

/// Every rank has measured all of its machine's kernel: what is left is its part.
void divide_kernel_times(std::vector<json>& ranks) {
  std::map<std::string, int> of_machine;
  for (const json& rank : ranks) ++of_machine[rank.at("machine")];
  for (json& rank : ranks) {
    if (rank.contains("cpu"))
      rank["cpu"]["kernel_s"] =
          rank["cpu"]["kernel_s"].get<double>() / of_machine[rank.at("machine")];
    rank.erase("machine");
  }
}

std::string spec_text(const TensorSpec& spec) {
  std::string text = std::string(c10::toString(spec.dtype)) + " [";
  for (size_t i = 0; i < spec.shape.size(); ++i)
    text += (i > 0 ? ", " : "") + std::to_string(spec.shape[i]);
  return text + "]";
}

}  // namespace

model::ModelPart own_part(const Run& run) {
  const auto config = model::read_decoder_config(run.model_folder());
  const auto& mesh = run.world->mesh();
  const auto range = layer_ranges(run, config).at(static_cast<size_t>(mesh.stage()));
  return {.first_layer = range.begin,
          .last_layer = range.end,
          .has_embedding = mesh.is_first(),
          .has_head = mesh.is_last()};
}

ParallelTraining::ParallelTraining(Run& run, const std::string& variant, model::Decoder& decoder,
                                   train::TrainingModel& model, const train::TokenBatches& batches,
                                   train::OptimizerShards* shards, RunContext& context)
    : run_(run),
      world_(*run.world),
      variant_(variant),
      timeline_(world_.mesh().rank, context.device(), run.config.dist.trace),
      forward_out_(run.config.comm.forward, context),
      forward_in_(run.config.comm.forward, context),
      backward_out_(run.config.comm.backward, context),
      backward_in_(run.config.comm.backward, context),
      to_server_(run.config.comm.data, context),
      to_workers_(run.config.comm.data, context),
      spec_{.shape = {run.config.train->micro_batch, batches.ctx(), decoder.config().hidden_size},
            .dtype = decoder.compute_dtype()} {
  compare_links(spec_);
  const auto& mesh = world_.mesh();
  const auto unless = [](bool is_absent, const LinkCompressor& compressor) {
    return is_absent ? nullptr : &compressor.get();
  };
  const train::LinkCompressors compressors{
      .forward_out = unless(mesh.is_last(), forward_out_),
      .forward_in = unless(mesh.is_first(), forward_in_),
      .backward_out = unless(mesh.is_first(), backward_out_),
      .backward_in = unless(mesh.is_last(), backward_in_),
      .to_server = unless(!run.config.comm.data, to_server_),
      .to_workers = unless(!run.config.comm.data, to_workers_)};
  const dist::PipelineLinks links{.spec = spec_,
                                  .forward_out = compressors.forward_out,
                                  .forward_in = compressors.forward_in,
                                  .backward_out = compressors.backward_out,
                                  .backward_in = compressors.backward_in,
                                  .has_hash = run.config.comm.checksum,
                                  .shape = shape_of(run.config.comm)};
  gradients_ = std::make_unique<train::ParallelGradients>(
      train::ParallelParts{.world = world_,
                           .model = model,
                           .batches = batches,
                           .settings = *run.config.train,
                           .device = context.device(),
                           .schedule = dist::schedule_from(run.config.parallel.schedule),
                           .links = links,
                           .compressors = compressors,
                           .warmup_steps = run.config.comm.warmup_steps,
                           .timeline = timeline_,
                           .shards = shards,
                           .layer_before = decoder.part().first_layer,
                           .layer_after = decoder.part().last_layer});
}

void ParallelTraining::compare_links(const TensorSpec& spec) {
  const auto& mesh = world_.mesh();
  std::vector<dist::LinkFact> facts;
  const auto add = [&](const char* direction, int from, int to, bool is_sender,
                       const std::optional<CompressorNode>& node) {
    facts.push_back({std::string(direction) + " " +
                         std::to_string(mesh.rank_of(mesh.replica(), from)) + "->" +
                         std::to_string(mesh.rank_of(mesh.replica(), to)),
                     is_sender, compressor_text(node) + " " + spec_text(spec)});
  };
  const int stage = mesh.stage();
  const auto& comm = run_.config.comm;
  if (!mesh.is_last()) {
    add("forward", stage, stage + 1, true, comm.forward);
    add("backward", stage + 1, stage, false, comm.backward);
  }
  if (!mesh.is_first()) {
    add("forward", stage - 1, stage, false, comm.forward);
    add("backward", stage, stage - 1, true, comm.backward);
  }
  dist::compare_links(world_.store(), mesh, variant_, facts, world_.timeouts().rendezvous);
}

json ParallelTraining::own_timing() const {
  json timing = work_of([&](Lane lane, const char* name) { return timeline_.mean(lane, name); });
  timing["replicas_s"] = timeline_.mean(Lane::kOptimizerComm, "opt_allreduce");
  timing["step_s"] = timeline_.median(Lane::kOptimizerStep, "whole step");
  timing["sent_bytes"] = gradients_->forward_bytes() + gradients_->backward_bytes();
  timing["machine"] = kernel_id();
  if (timeline_.device().is_cpu()) timing["cpu"] = own_processor_times();
  return timing;
}

/// The same in processor time, which is not longer where processes wait for a core.
json ParallelTraining::own_processor_times() const {
  const auto seconds = [&](Lane lane, const char* name) {
    return timeline_.mean_processor_s(lane, name);
  };
  json times = work_of(seconds);
  times["send_forward_s"] = seconds(Lane::kForwardSend, "hand over");
  times["send_backward_s"] = seconds(Lane::kBackwardSend, "hand over");
  times["step_s"] = seconds(Lane::kOptimizerStep, "whole step of the process");
  times["kernel_s"] = seconds(Lane::kOptimizerStep, "whole step of the kernel");
  if (timeline_.has_one_computing_thread())
    times["own_step_s"] = seconds(Lane::kOptimizerStep, "whole step");
  return times;
}

void ParallelTraining::write_timing(const train::TrainOutcome& outcome) {
  const auto& mesh = world_.mesh();
  timeline_.write(run_.folder / ("trace/rank" + std::to_string(mesh.rank) + ".json"));
  const std::string key = "timing/" + variant_ + "/";
  world_.store().set(key + std::to_string(mesh.rank), own_timing().dump());
  world_.meet("timings");
  if (!world_.is_chief()) return;
  std::vector<json> ranks;
  for (int rank = 0; rank < mesh.world(); ++rank)
    ranks.push_back(
        json::parse(world_.store().get(key + std::to_string(rank), world_.timeouts().operation)));
  divide_kernel_times(ranks);
  const json stages(std::vector<json>(ranks.begin(), ranks.begin() + mesh.stages));
  const auto& train = *run_.config.train;
  const json content = {{"stages", stages},
                        {"forward_bytes", forward_out_.get().wire_bytes(spec_)},
                        {"backward_bytes", backward_out_.get().wire_bytes(spec_)},
                        {"micro_batches", train.global_batch / mesh.replicas / train.micro_batch},
                        {"schedule", run_.config.parallel.schedule},
                        {"replicas", mesh.replicas},
                        {"step_s", stages.front().at("step_s")},
                        {"tokens_per_s", outcome.tokens_per_second}};
  write_file_atomically(run_.train_folder(variant_) / "timing.json", content.dump(2) + "\n");
}

}  // namespace qtk::stage
