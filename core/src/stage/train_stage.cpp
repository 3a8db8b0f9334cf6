// train: every variant (or the dense model) is trained and written as the quantize stage would
// write it.
#include "base/atomic_file.hpp"
#include "base/logging.hpp"
#include "base/progress.hpp"
#include "format/safetensors.hpp"
#include "plugin/run_context.hpp"
#include "stage/environment.hpp"
#include "stage/export_model.hpp"
#include "stage/live_scalars.hpp"
#include "stage/model_options.hpp"
#include "stage/packed_model.hpp"
#include "stage/perplexity.hpp"
#include "stage/pipeline.hpp"
#include "stage/schedulers.hpp"
#include "stage/training_data.hpp"
#include "train/sensitivity_file.hpp"
#include "train/trainer.hpp"

#include <qtk/runtime/error.hpp>

#include <ATen/core/grad_mode.h>
#include <nlohmann/json.hpp>

#include <chrono>
#include <cmath>
#include <cstdio>

namespace qtk::stage {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const config::OptimizerSection& optimizer_of(const Run& run) {
  static const config::OptimizerSection usual;
  return run.config.optimizer ? *run.config.optimizer : usual;
}

int64_t total_steps(const config::TrainSection& section, const train::TokenBatches& batches) {
  const int64_t step_tokens = section.global_batch * batches.ctx();
  int64_t steps = section.steps;
  if (section.tokens > 0) steps = section.tokens / step_tokens;
  if (section.epochs > 0)
    steps = static_cast<int64_t>(section.epochs * static_cast<double>(batches.windows()) /
                                 static_cast<double>(section.global_batch));
  if (steps > 0) return steps;
  throw ConfigError("train: the budget is less than one step of " +
                        std::to_string(section.global_batch) + " windows of " +
                        std::to_string(batches.ctx()) + " tokens",
                    "raise the budget, or lower train.global_batch");
}

/// fp32 weights that an optimizer may write into.
model::LoadOptions training_options(const Run& run) {
  const auto device = run.context->device();
  const std::string& precision = run.config.train->precision;
  const bool is_bf16 = precision == "bf16" || (precision == "auto" && device.is_cuda());
  return {.device = device,
          .dtype = at::kFloat,
          .compute_dtype = is_bf16 ? at::kBFloat16 : at::kFloat,
          .is_writable = true};
}

/// What all variants share.
struct TrainingInputs {
  train::TokenBatches batches;
  std::optional<EvaluationPlan> evaluation;
  std::unique_ptr<model::Decoder> teacher;  // null without distillation
  int64_t steps = 0;
};

std::optional<EvaluationPlan> evaluation_plan(const Run& run, const text::Tokenizer& tokenizer) {
  if (run.config.train->eval_every == 0) return std::nullopt;
  const auto& data = *run.config.data.eval;
  return plan_evaluation(
      tokenizer, {{data.files.begin(), data.files.end()}, data.format},
      {.ctx = data.ctx, .windows = data.windows, .batch_tokens = data.batch_tokens});
}

TrainingInputs open_inputs(const Run& run) {
  const auto tokenizer = text::Tokenizer::load(run.model_folder());
  const auto decoder_config = model::read_decoder_config(run.model_folder());
  TrainingInputs inputs{
      .batches = read_training(*run.config.data.train, tokenizer, decoder_config.vocab_size,
                               static_cast<uint64_t>(run.config.seed)),
      .evaluation = evaluation_plan(run, tokenizer),
      .teacher = nullptr};
  inputs.steps = total_steps(*run.config.train, inputs.batches);
  if (run.config.train->distill.weight > 0) {
    auto options = training_options(run);
    options.dtype = options.compute_dtype;
    inputs.teacher = model::Decoder::load(run.model_folder(), options);
  }
  return inputs;
}

std::optional<SensitivityTable> sensitivity_of(const Run& run,
                                               const std::vector<LinearSite>& sites) {
  const std::string& given = run.config.scheduler->sensitivity;
  const fs::path file = given.empty() ? run.sensitivity_file() : fs::path(given);
  if (given.empty() && !fs::exists(file)) return std::nullopt;
  return train::read_sensitivity(file, content_fingerprint(run.model_folder()), sites);
}

/// One variant while it trains.
class VariantTraining {
 public:
  VariantTraining(Run& run, const TrainingInputs& inputs, config::QuantizerVariant variant)
      : run_(run),
        inputs_(inputs),
        variant_(std::move(variant)),
        label_("train " + variant_.name),
        context_({.device = run.context->device(),
                  .seed = static_cast<uint64_t>(run.config.seed),
                  .component = variant_.quantizer.use.empty() ? "train" : variant_.quantizer.use,
                  .metric = [this](std::string_view name, double value,
                                   int64_t) { method_figures_.add(name, value); }}),
        decoder_(model::Decoder::load(run.model_folder(), training_options(run))) {
    attach_quantizers();
  }

  train::TrainOutcome train() {
    const auto& section = *run_.config.train;
    train::TrainingModel model(*decoder_, inputs_.teacher.get(), section);
    train::AdamW optimizer(model.optimized(optimizer_of(run_)), context_);
    LiveScalars scalars(run_.folder / "tensorboard" / variant_.name);
    train::MetricLog metrics(run_.train_folder(variant_.name) / "metrics.jsonl",
                             [&](const json& row) { scalars.add(row); });
    train::CheckpointStore checkpoints(run_.train_folder(variant_.name) / "checkpoints",
                                       section.keep);
    prepare_schedulers(model.sites());
    train::TrainerParts parts{.model = model,
                              .optimizer = optimizer,
                              .batches = inputs_.batches,
                              .settings = section,
                              .base_lr = optimizer_of(run_).lr,
                              .lr_schedule = lr_schedule_.get(),
                              .knobs = {},
                              .metrics = metrics,
                              .method_figures = method_figures_,
                              .checkpoints = checkpoints,
                              .context = context_,
                              .total_steps = inputs_.steps,
                              .label = label_,
                              .held_out_loss = {},
                              .keep_best = {}};
    if (scheduler_) parts.knobs = train::KnobSchedule(*scheduler_, model.sites());
    if (inputs_.evaluation) {
      parts.held_out_loss = [this] { return held_out_loss(); };
      parts.keep_best = [this](int64_t step) { keep_best(step); };
    }
    train::Trainer trainer(std::move(parts));
    trainer.resume();
    const auto outcome = trainer.run();
    model.set_knobs(nullptr, outcome.steps);
    remove_old_bests(outcome.best_step);
    return outcome;
  }

  /// The deployed model, as stage quantize leaves it, of the last or the best step.
  std::vector<fs::path> write(const train::TrainOutcome& outcome) {
    const auto folder = run_.packed_folder(variant_.name);
    const fs::path record = run_.folder / ("artifacts/" + variant_.name + "/sites.json");
    if (run_.config.train->result == "best") {
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

 private:
  fs::path best_folder(int64_t step) const {
    return run_.train_folder(variant_.name) / ("best-step-" + std::to_string(step));
  }

  /// Bests before it stay until the end: a run that is resumed before this step may need them.
  void keep_best(int64_t step) {
    const fs::path target = best_folder(step);
    fs::path partial = target;
    partial += ".partial";
    fs::remove_all(partial);
    write_to(partial / "packed", partial / "sites.json");
    fs::remove_all(target);
    fs::rename(partial, target);
    sync_folder(target.parent_path());
  }

  /// Of an evaluated step that another has beaten, or that an interrupted process left.
  void remove_old_bests(int64_t best_step) const {
    std::vector<fs::path> old;
    for (const auto& entry : fs::directory_iterator(run_.train_folder(variant_.name)))
      if (entry.path().filename().string().starts_with("best-step-") &&
          entry.path() != best_folder(best_step))
        old.push_back(entry.path());
    for (const auto& path : old) fs::remove_all(path);
  }

  void write_to(const fs::path& folder, const fs::path& record) const {
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

  std::string description() const {
    return plan_.groups.empty() ? "trained" : plan_.description() + ", trained";
  }

  void attach_quantizers() {
    if (variant_.quantizer.use.empty()) return;
    plan_ = plan_quantizers(variant_.quantizer, decoder_->sites(), context_);
    for (const auto& group : plan_.groups) {
      if (!group.quantizer->traits().is_trainable)
        throw ConfigError("quantizer `" + variant_.quantizer.use + "` cannot be trained",
                          "use it in stage quantize, or choose one that `qtk describe` calls "
                          "trainable");
      for (const int64_t index : group.sites)
        decoder_->attach(index, group.quantizer->attach(
                                    decoder_->sites()[static_cast<size_t>(index)],
                                    {decoder_->dense_weight(index), decoder_->bias(index), {}}));
    }
    decoder_->fuse([&](int64_t site) { return plan_.quantizer_of(site); });
  }

  void prepare_schedulers(const std::vector<LinearSite>& sites) {
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

  double held_out_loss() {
    return evaluate(*decoder_, *inputs_.evaluation, label_ + ", eval").perplexity.nll;
  }

  Run& run_;
  const TrainingInputs& inputs_;
  const config::QuantizerVariant variant_;
  const std::string label_;
  train::FigureMeans method_figures_;
  plugin::CoreRunContext context_;
  QuantizerPlan plan_;
  std::unique_ptr<model::Decoder> decoder_;
  plugin::PluginPtr<Scheduler> lr_schedule_, scheduler_;
};

std::string outcome_text(const train::TrainOutcome& outcome) {
  char text[160];
  std::snprintf(text, sizeof text, "%lld steps, %lld tokens, loss %.4f",
                static_cast<long long>(outcome.steps), static_cast<long long>(outcome.tokens),
                outcome.loss);
  std::string line = text;
  if (!std::isnan(outcome.held_out)) {
    std::snprintf(text, sizeof text, ", held-out loss %.4f (best %.4f at step %lld)",
                  outcome.held_out, outcome.best_held_out,
                  static_cast<long long>(outcome.best_step));
    line += text;
  }
  if (outcome.tokens_per_second > 0) {
    std::snprintf(text, sizeof text, ", %.4g tokens/s", outcome.tokens_per_second);
    line += text;
  }
  return line;
}

void train_variant(Run& run, const TrainingInputs& inputs,
                   const config::QuantizerVariant& variant) {
  const auto start = std::chrono::steady_clock::now();
  VariantTraining training(run, inputs, variant);
  const auto outcome = training.train();
  auto files = training.write(outcome);
  const fs::path record = run.train_folder(variant.name) / "outcome.json";
  write_file_atomically(record, json{{"steps", outcome.steps},
                                     {"tokens", outcome.tokens},
                                     {"loss", outcome.loss},
                                     {"val_loss", outcome.held_out},
                                     {"best_val_loss", outcome.best_held_out},
                                     {"best_step", outcome.best_step},
                                     {"seconds", outcome.seconds},
                                     {"tokens_per_s", outcome.tokens_per_second}}
                                        .dump(2) +
                                    "\n");
  files.push_back(record);
  files.push_back(run.train_folder(variant.name) / "metrics.jsonl");
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  run.folder.finish("train." + variant.name, seconds, files);
  core_log().info("trained " + variant.name + ": " + outcome_text(outcome) + " in " +
                  duration_text(seconds));
}

}  // namespace

void train_stage(Run& run) {
  auto variants = config::quantizer_variants(run.config);
  if (variants.empty()) variants.push_back({config::result_names(run.config).front(), {}});
  std::optional<TrainingInputs> inputs;
  for (const auto& variant : variants) {
    if (run.folder.is_finished("train." + variant.name)) continue;
    if (!inputs) inputs = open_inputs(run);
    train_variant(run, *inputs, variant);
  }
}

}  // namespace qtk::stage
