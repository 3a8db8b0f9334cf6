#include "train/parallel_gradients.hpp"

#include "base/processor_time.hpp"
#include "train/gradient_norm.hpp"
#include "train/local_gradients.hpp"

#include <qtk/runtime/check.hpp>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstring>

namespace qtk::train {
namespace {

constexpr int64_t kFigureBytes = 8192;  // of one process's figures as JSON

std::function<void(const std::string&)> begin_of(dist::World& world) {
  return [&world](const std::string& operation) { world.begin(operation); };
}

}  // namespace

/// This process's layers during one step.
class ParallelGradients::Stage final : public dist::StageModel {
 public:
  Stage(const ParallelParts& parts, int64_t first_window, double scale)
      : parts_(parts), first_window_(first_window), scale_(scale) {
    const auto zero = at::zeros({}, at::TensorOptions(at::kFloat).device(parts.device));
    cross_entropy_ = zero.clone();
    divergence_ = zero.clone();
  }

  at::Tensor forward(int64_t micro_batch, const at::Tensor& input) override {
    const c10::AutoGradMode records(true);
    const auto& mesh = parts_.world.mesh();
    const int64_t size = parts_.settings.micro_batch;
    TokenBatch batch;
    if (mesh.is_first() || mesh.is_last())
      batch = parts_.batches.batch(first_window_ + micro_batch * size, size);
    const auto ids = mesh.is_first() ? sent_to(batch.inputs, parts_.device) : at::Tensor();
    auto x = parts_.model.hidden(ids, input);
    // A stage without layers passes on what it got, but autograd wants a tensor of its own.
    if (x.is_same(input)) x = x.view_as(x);
    if (!mesh.is_last()) return x;
    const auto loss = parts_.model.loss_of(x, ids, sent_to(batch.targets, parts_.device), scale_);
    cross_entropy_.add_(loss.cross_entropy);
    divergence_.add_(loss.divergence);
    return loss.loss;
  }

  const at::Tensor& cross_entropy() const { return cross_entropy_; }
  const at::Tensor& divergence() const { return divergence_; }

 private:
  const ParallelParts& parts_;
  const int64_t first_window_;
  const double scale_;
  at::Tensor cross_entropy_, divergence_;
};

ParallelGradients::ParallelGradients(ParallelParts parts)
    : parts_(std::move(parts)),
      pipeline_(parts_.world.mesh(), parts_.schedule, parts_.world.forward(),
                parts_.world.backward(), parts_.links, parts_.timeline, begin_of(parts_.world)) {
  const auto& mesh = parts_.world.mesh();
  const bool is_tied =
      parts_.model.borrowed_embedding().defined() || parts_.model.own_tied_embedding().defined();
  if (mesh.stages > 1 && is_tied) tied_ = std::make_unique<dist::TiedRows>(parts_.world.ends());
  if (parts_.compressors.to_server && mesh.replicas > 1)
    compressed_ = std::make_unique<dist::CompressedSum>(
        parts_.world.replicas(), *parts_.compressors.to_server, *parts_.compressors.to_workers);
}

ParallelGradients::~ParallelGradients() = default;

int64_t ParallelGradients::own_windows() const {
  return parts_.settings.global_batch / parts_.world.mesh().replicas;
}

int64_t ParallelGradients::own_first(int64_t first_window) const {
  return first_window + parts_.world.mesh().replica() * own_windows();
}

/// The distinct tokens that the first stage will look up; the last one finds the same.
at::Tensor ParallelGradients::tokens_of(int64_t first_window) const {
  const auto batch = parts_.batches.batch(own_first(first_window), own_windows());
  return std::get<0>(at::_unique2(batch.inputs.flatten(), /*sorted=*/true)).to(parts_.device);
}

StepSums ParallelGradients::accumulate(int64_t step, int64_t first_window) {
  step_start_ = std::chrono::steady_clock::now();
  start_processor_s_ = parts_.timeline.processor_s();
  start_process_s_ = process_processor_s();
  start_kernel_s_ = kernel_threads_processor_s();
  if (steps_taken_++ == 1) parts_.timeline.forget_durations();  // the first step is never typical
  parts_.world.presence().set_step(step + 1);
  const auto& settings = parts_.settings;
  const int64_t first = own_first(first_window);
  const int64_t predictions = parts_.batches.predictions(first_window, settings.global_batch);
  Stage stage(parts_, first, 1.0 / static_cast<double>(std::max<int64_t>(1, predictions)));

  at::Tensor tokens;
  at::Tensor table = parts_.model.borrowed_embedding().defined()
                         ? parts_.model.borrowed_embedding()
                         : parts_.model.own_tied_embedding();
  if (tied_) {
    parts_.world.begin("rows of the tied embedding");
    tokens = tokens_of(first_window);
    tied_->fetch(table, tokens);
  }
  pipeline_.run(stage, {.step = step,
                        .micro_batches = own_windows() / settings.micro_batch,
                        .is_warmup = step < parts_.warmup_steps,
                        .samples = [&](int64_t micro_batch) {
                          return parts_.batches.samples(first + micro_batch * settings.micro_batch,
                                                        settings.micro_batch);
                        }});
  if (tied_) {
    parts_.world.begin("gradients of the tied embedding");
    tied_->give_back(table.mutable_grad(), tokens);
  }
  passes_end_ = std::chrono::steady_clock::now();
  reduce(step);
  const StepSums sums = shared_sums(stage);
  norm_processor_s_ = parts_.timeline.processor_s();
  return sums;
}

void ParallelGradients::reduce(int64_t step) {
  if (parts_.world.mesh().replicas == 1) return;
  parts_.world.begin("gradients of the replicas");
  const at::NoGradGuard no_grad;
  const auto span = parts_.timeline.span(dist::Lane::kOptimizerComm, "opt_allreduce");
  const auto gradients = parts_.model.gradients();
  if (compressed_ && step >= parts_.warmup_steps)
    compressed_->sum(gradients, step);
  else
    dist::sum_over_replicas(parts_.world.replicas(), gradients);
  if (parts_.shards) parts_.shards->bind_gradients();
}

/// Every replica holds the reduced gradients of its stage, hence the share of the norm.
StepSums ParallelGradients::shared_sums(const Stage& stage) {
  const at::NoGradGuard no_grad;
  const auto own = gradient_norm(parts_.model.gradients()).to(parts_.device, at::kDouble);
  at::Tensor sums =
      at::stack({own.square() / parts_.world.mesh().replicas, stage.cross_entropy().to(at::kDouble),
                 stage.divergence().to(at::kDouble)});
  parts_.world.everybody().all_reduce_sum(sums);
  return {.cross_entropy = sums[1].to(at::kFloat),
          .divergence = sums[2].to(at::kFloat),
          .norm = sums[0].sqrt().to(at::kFloat)};
}

void ParallelGradients::finish_step(double optimizer_seconds) {
  parts_.timeline.add(dist::Lane::kOptimizerCompute, "opt_comp", optimizer_seconds,
                      parts_.timeline.processor_s() - norm_processor_s_);
  if (parts_.shards) {
    parts_.world.begin("values of the replicas");
    const auto span = parts_.timeline.span(dist::Lane::kOptimizerComm, "opt_gather");
    parts_.shards->spread_values();
  }
  const dist::Seconds taken = std::chrono::steady_clock::now() - step_start_;
  const dist::Seconds since_passes = std::chrono::steady_clock::now() - passes_end_;
  parts_.timeline.add(dist::Lane::kOptimizerStep, "opt", since_passes.count());
  parts_.timeline.note_duration(dist::Lane::kOptimizerStep, "whole step", taken.count(),
                                parts_.timeline.processor_s() - start_processor_s_);
  parts_.timeline.note_duration(dist::Lane::kOptimizerStep, "whole step of the process",
                                taken.count(), process_processor_s() - start_process_s_);
  parts_.timeline.note_duration(dist::Lane::kOptimizerStep, "whole step of the kernel",
                                taken.count(), kernel_threads_processor_s() - start_kernel_s_);
  parts_.world.presence().step_finished(taken);
  parts_.world.begin("between steps");
}

int ParallelGradients::agreed_signal(int own) {
  return static_cast<int>(parts_.world.agree_on_largest(own));
}

void ParallelGradients::gather(FigureMeans& figures) {
  using nlohmann::json;
  const std::string own = figures.save().dump();
  QTK_CHECK(static_cast<int64_t>(own.size()) < kFigureBytes, "the figures of one process take ",
            own.size(), " bytes, at most ", kFigureBytes - 1);
  at::Tensor text = at::zeros({kFigureBytes}, at::kByte);
  std::memcpy(text.mutable_data_ptr<uint8_t>(), own.data(), own.size());
  const int world = parts_.world.mesh().world();
  at::Tensor all = at::empty({world * kFigureBytes}, at::kByte);
  parts_.world.control().all_gather(all, text);
  figures.load(json::object());
  for (int rank = 0; rank < world; ++rank) {
    const auto* text_of_rank =
        reinterpret_cast<const char*>(all.const_data_ptr<uint8_t>() + rank * kFigureBytes);
    const json content =
        json::parse(text_of_rank, text_of_rank + strnlen(text_of_rank, kFigureBytes), nullptr,
                    /*allow_exceptions=*/false);
    if (!content.is_object())
      throw Error("the processes are out of step: what " + parts_.world.mesh().name_of(rank) +
                      " sent as its figures is something else",
                  "start the same command again to continue from the last checkpoint",
                  ExitCode::kPeerLost, "dist");
    figures.merge(content);
  }
}

std::map<std::string, Compressor*> ParallelGradients::named_compressors() const {
  const auto& mesh = parts_.world.mesh();
  const std::string links =
      "links/" + std::to_string(mesh.replica()) + "of" + std::to_string(mesh.replicas) + "/layer";
  const auto& c = parts_.compressors;
  std::map<std::string, Compressor*> named;
  const auto add = [&](int64_t layer, const char* end, Compressor* compressor) {
    if (compressor) named[links + std::to_string(layer) + "/" + end] = compressor;
  };
  add(parts_.layer_after, "forward_out", c.forward_out);
  add(parts_.layer_before, "forward_in", c.forward_in);
  add(parts_.layer_before, "backward_out", c.backward_out);
  add(parts_.layer_after, "backward_in", c.backward_in);
  return named;
}

/// Another split of layers has other gradients, and as many ranks may mean another mesh.
std::string ParallelGradients::replica_name() const {
  const auto& mesh = parts_.world.mesh();
  return "replicas/" + std::to_string(mesh.replica()) + "of" + std::to_string(mesh.replicas) +
         "/layers" + std::to_string(parts_.layer_before) + "-" + std::to_string(parts_.layer_after);
}

void ParallelGradients::save(TrainState& state) const {
  for (const auto& [name, compressor] : named_compressors()) {
    ScopedWriter writer(state, name);
    writer.integer("exists", 1);
    compressor->save(writer);
  }
  if (!compressed_) return;
  ScopedWriter writer(state, replica_name());
  compressed_->save(writer);
}

/// State of links that the checkpoint does not have (another split, another number of replicas)
/// begins anew, at both ends alike.
void ParallelGradients::load(const TrainState& state) {
  for (const auto& [name, compressor] : named_compressors()) {
    ScopedReader reader(state, name);
    if (reader.has("exists")) compressor->load(reader);
  }
  if (!compressed_) return;
  ScopedReader reader(state, replica_name());
  compressed_->load(reader);
}

}  // namespace qtk::train
