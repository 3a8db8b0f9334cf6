#include "stage/variant_training.hpp"

#include "base/atomic_file.hpp"
#include "format/safetensors.hpp"
#include "stage/environment.hpp"
#include "stage/live_scalars.hpp"
#include "stage/packed_model.hpp"
#include "stage/parallel_training.hpp"
#include "stage/staged_evaluation.hpp"
#include "stage/stored_dtype.hpp"
#include "train/local_gradients.hpp"
#include "train/sensitivity_file.hpp"

#include <qtk/runtime/error.hpp>

#include <ATen/core/grad_mode.h>
#include <nlohmann/json.hpp>

namespace qtk::stage {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// A run that is resumed before the best step may need an older one.
constexpr int64_t kKeptBests = 1000;

const config::OptimizerSection& optimizer_of(const Run& run) {
  static const config::OptimizerSection usual;
  return run.config.optimizer ? *run.config.optimizer : usual;
}

std::optional<SensitivityTable> sensitivity_of(const Run& run,
                                               const std::vector<LinearSite>& sites) {
  const std::string& given = run.config.scheduler->sensitivity;
  const fs::path file = given.empty() ? run.sensitivity_file() : fs::path(given);
  if (given.empty() && !fs::exists(file)) return std::nullopt;
  return train::read_sensitivity(file, content_fingerprint(run.model_folder()), sites);
}

model::LoadOptions part_options(const Run& run, std::optional<model::ModelPart> part) {
  auto options = training_options(run);
  options.part = part;
  return options;
}

}  // namespace

model::LoadOptions training_options(const Run& run) {
  const auto device = run.context->device();
  const std::string& precision = run.config.train->precision;
  const bool is_bf16 = precision == "bf16" || (precision == "auto" && device.is_cuda());
  return {.device = device,
          .dtype = at::kFloat,
          .compute_dtype = is_bf16 ? at::kBFloat16 : at::kFloat,
          .is_writable = true};
}

VariantTraining::VariantTraining(Run& run, const TrainingInputs& inputs,
                                 config::QuantizerVariant variant,
                                 std::optional<model::ModelPart> part)
    : run_(run),
      inputs_(inputs),
      variant_(std::move(variant)),
      label_("train " + variant_.name),
      context_({.device = run.context->device(),
                .seed = static_cast<uint64_t>(run.config.seed),
                .component = variant_.quantizer.use.empty() ? "train" : variant_.quantizer.use,
                .metric = [this](std::string_view name, double value,
                                 int64_t) { method_figures_.add(name, value); }}),
      decoder_(model::Decoder::load(run.model_folder(), part_options(run, part))) {
  attach_quantizers();
}

train::TrainOutcome VariantTraining::train() {
  const auto& section = *run_.config.train;
  train::TrainingModel model(*decoder_, inputs_.teacher.get(), section);
  auto optimized = model.optimized(optimizer_of(run_));
  std::unique_ptr<train::OptimizerShards> shards;
  if (run_.config.parallel.shard_optimizer) {
    shards = std::make_unique<train::OptimizerShards>(std::move(optimized), run_.world->replicas());
    optimized = shards->own();
  }
  train::AdamW optimizer(std::move(optimized), context_);
  std::unique_ptr<LiveScalars> scalars;
  const bool is_chief = !run_.world || run_.world->is_chief();
  if (is_chief)
    scalars = std::make_unique<LiveScalars>(run_.folder / "tensorboard" / variant_.name);
  train::MetricLog metrics(run_.train_folder(variant_.name) / "metrics.jsonl",
                           [&](const json& row) { scalars->add(row); });
  const fs::path folder = run_.train_folder(variant_.name) / "checkpoints";

  std::unique_ptr<ParallelTraining> parallel;
  std::unique_ptr<train::GradientSource> local;
  std::unique_ptr<train::Checkpoints> checkpoints;
  if (run_.world) {
    parallel = std::make_unique<ParallelTraining>(run_, variant_.name, *decoder_, model,
                                                  inputs_.batches, shards.get(), context_);
    checkpoints = std::make_unique<train::SharedCheckpoints>(folder, section.keep, *run_.world,
                                                             shards != nullptr);
  } else {
    local =
        std::make_unique<train::LocalGradients>(model, inputs_.batches, section, context_.device());
    checkpoints = std::make_unique<train::CheckpointStore>(folder, section.keep);
  }
  prepare_schedulers(quantized_sites());
  train::TrainerParts parts{.model = model,
                            .optimizer = optimizer,
                            .gradients = parallel ? parallel->gradients() : *local,
                            .batches = inputs_.batches,
                            .settings = section,
                            .base_lr = optimizer_of(run_).lr,
                            .lr_schedule = lr_schedule_.get(),
                            .knobs = {},
                            .metrics = metrics,
                            .method_figures = method_figures_,
                            .checkpoints = *checkpoints,
                            .context = context_,
                            .total_steps = inputs_.steps,
                            .label = label_,
                            .held_out_loss = {},
                            .keep_best = {}};
  if (scheduler_) parts.knobs = train::KnobSchedule(*scheduler_, model.sites(), quantized_sites());
  if (inputs_.evaluation) add_evaluation(parts, model);
  train::Trainer trainer(std::move(parts));
  trainer.resume();
  const auto outcome = trainer.run();
  model.set_knobs(nullptr, outcome.steps);
  if (parallel) parallel->write_timing(outcome);
  if (is_chief) remove_old_bests(outcome.best_step);
  return outcome;
}

void VariantTraining::add_evaluation(train::TrainerParts& parts, train::TrainingModel& model) {
  if (!run_.world) {
    parts.held_out_loss = [this] { return held_out_loss(); };
    parts.keep_best = [this](int64_t step) { keep_best(step); };
    return;
  }
  parts.held_out_loss = [this, &model] {
    return staged_held_out_loss(*run_.world, *decoder_, model, *inputs_.evaluation);
  };
  if (run_.config.train->result != "best") return;
  bests_ = std::make_unique<train::SharedCheckpoints>(best_checkpoints(), kKeptBests, *run_.world,
                                                      /*shares_optimizer=*/false);
  parts.keep_best = [this, &model](int64_t step) {
    train::TrainState state;
    model.save(state);
    bests_->save(step, state);
  };
}

void VariantTraining::take_weights(const train::TrainState& state) {
  train::TrainingModel model(*decoder_, nullptr, *run_.config.train);
  model.load(state);
  model.set_knobs(nullptr, inputs_.steps);
}

std::vector<fs::path> VariantTraining::write(const train::TrainOutcome& outcome) {
  const auto folder = run_.packed_folder(variant_.name);
  const fs::path record = run_.folder / ("artifacts/" + variant_.name + "/sites.json");
  if (run_.config.train->result == "best" && !run_.world) {
    const fs::path best = best_folder(outcome.best_step);
    for (const auto& entry : fs::directory_iterator(best / "packed"))
      copy_file_atomically(entry.path(), folder / entry.path().filename());
    copy_file_atomically(best / "sites.json", record);
  } else {
    write_to(folder, record);
  }
  std::vector<fs::path> files = {record};
  for (const auto& entry : fs::directory_iterator(folder)) files.push_back(entry.path());
  return files;
}

fs::path VariantTraining::best_checkpoints() const {
  return run_.train_folder(variant_.name) / "best-checkpoints";
}

fs::path VariantTraining::best_folder(int64_t step) const {
  return run_.train_folder(variant_.name) / ("best-step-" + std::to_string(step));
}

void VariantTraining::keep_best(int64_t step) {
  const fs::path target = best_folder(step);
  fs::path partial = target;
  partial += ".partial";
  fs::remove_all(partial);
  write_to(partial / "packed", partial / "sites.json");
  fs::remove_all(target);
  fs::rename(partial, target);
  sync_folder(target.parent_path());
}

void VariantTraining::remove_old_bests(int64_t best_step) const {
  std::vector<fs::path> old;
  for (const auto& entry : fs::directory_iterator(run_.train_folder(variant_.name)))
    if (entry.path().filename().string().starts_with("best-step-") &&
        entry.path() != best_folder(best_step))
      old.push_back(entry.path());
  for (const auto& path : old) fs::remove_all(path);
}

void VariantTraining::write_to(const fs::path& folder, const fs::path& record) const {
  c10::optional<at::ScalarType> rest;
  if (const auto& dtype = variant_.quantizer.rest_dtype; dtype != "file")
    rest = storage_dtype(dtype);
  else
    rest = format::TensorFolder::open(run_.model_folder()).tensors().front().dtype;
  const at::NoGradGuard no_grad;
  const auto outcomes =
      write_packed_model(run_.model_folder(), *decoder_, plan_, folder, rest, label_);
  const json content = {{"description", description()},
                        {"sites", outcomes_json(outcomes, decoder_->sites())}};
  write_file_atomically(record, content.dump(2) + "\n");
}

std::string VariantTraining::description() const {
  return plan_.groups.empty() ? "trained" : plan_.description() + ", trained";
}

void VariantTraining::attach_quantizers() {
  if (variant_.quantizer.use.empty()) return;
  plan_ = plan_quantizers(variant_.quantizer, decoder_->sites(), context_);
  const auto& part = decoder_->part();
  const auto is_here = [&](int64_t index) {
    const int block = decoder_->sites()[static_cast<size_t>(index)].block;
    return block < 0 ? part.has_head : block >= part.first_layer && block < part.last_layer;
  };
  for (const auto& group : plan_.groups) {
    if (!group.quantizer->traits().is_trainable)
      throw ConfigError("quantizer `" + variant_.quantizer.use + "` cannot be trained",
                        "use it in stage quantize, or choose one that `qtk describe` calls "
                        "trainable");
    for (const int64_t index : group.sites)
      if (is_here(index))
        decoder_->attach(index, group.quantizer->attach(
                                    decoder_->sites()[static_cast<size_t>(index)],
                                    {decoder_->dense_weight(index), decoder_->bias(index), {}}));
  }
  decoder_->fuse([&](int64_t site) { return is_here(site) ? plan_.quantizer_of(site) : nullptr; });
}

std::vector<LinearSite> VariantTraining::quantized_sites() const {
  std::vector<LinearSite> sites;
  for (const auto& site : decoder_->sites())
    if (plan_.quantizer_of(site.index)) sites.push_back(site);
  return sites;
}

void VariantTraining::prepare_schedulers(const std::vector<LinearSite>& sites) {
  SchedulePlan plan{.total_steps = inputs_.steps, .sites = sites};
  if (const auto& lr = run_.config.train->lr_schedule) {
    lr_schedule_ = make_scheduler(*lr, context_);
    lr_schedule_->prepare(plan);
  }
  if (!run_.config.scheduler) return;
  scheduler_ = make_scheduler(*run_.config.scheduler, context_);
  const auto table = sensitivity_of(run_, decoder_->sites());
  plan.sensitivity = table ? &*table : nullptr;
  scheduler_->prepare(plan);
}

double VariantTraining::held_out_loss() {
  return evaluate(*decoder_, *inputs_.evaluation, label_ + ", eval").perplexity.nll;
}

}  // namespace qtk::stage
