// train: every variant (or the dense model) is trained and written as the quantize stage would
// write it.
#include "base/atomic_file.hpp"
#include "base/heap.hpp"
#include "base/logging.hpp"
#include "base/progress.hpp"
#include "stage/parallel_training.hpp"
#include "stage/pipeline.hpp"
#include "stage/training_data.hpp"
#include "stage/variant_training.hpp"

#include <qtk/runtime/error.hpp>

#include <nlohmann/json.hpp>

#include <chrono>
#include <cmath>
#include <cstdio>

namespace qtk::stage {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

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

/// The deployed model of a training that many processes shared, by the one that has the run folder.
std::vector<fs::path> write_shared(Run& run, const TrainingInputs& inputs,
                                   const config::QuantizerVariant& variant,
                                   const train::TrainOutcome& outcome) {
  const bool is_best = run.config.train->result == "best";
  const fs::path folder = run.train_folder(variant.name);
  train::CheckpointStore checkpoints(folder / (is_best ? "best-checkpoints" : "checkpoints"),
                                     run.config.train->keep);
  VariantTraining whole(run, inputs, variant);
  whole.take_weights(checkpoints.read(is_best ? outcome.best_step : outcome.steps).state);
  auto files = whole.write(outcome);
  fs::remove_all(folder / "best-checkpoints");
  return files;
}

void record(Run& run, const config::QuantizerVariant& variant, const train::TrainOutcome& outcome,
            std::vector<fs::path> files, double seconds) {
  const fs::path file = run.train_folder(variant.name) / "outcome.json";
  write_file_atomically(file, json{{"steps", outcome.steps},
                                   {"tokens", outcome.tokens},
                                   {"loss", outcome.loss},
                                   {"val_loss", outcome.held_out},
                                   {"best_val_loss", outcome.best_held_out},
                                   {"best_step", outcome.best_step},
                                   {"seconds", outcome.seconds},
                                   {"tokens_per_s", outcome.tokens_per_second}}
                                      .dump(2) +
                                  "\n");
  files.push_back(file);
  files.push_back(run.train_folder(variant.name) / "metrics.jsonl");
  run.folder.finish("train." + variant.name, seconds, files);
  core_log().info("trained " + variant.name + ": " + outcome_text(outcome) + " in " +
                  duration_text(seconds));
}

void train_variant(Run& run, const TrainingInputs& inputs,
                   const config::QuantizerVariant& variant) {
  const auto start = std::chrono::steady_clock::now();
  const auto seconds = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  if (!run.world) {
    VariantTraining training(run, inputs, variant);
    const auto outcome = training.train();
    return record(run, variant, outcome, training.write(outcome), seconds());
  }
  const auto outcome = VariantTraining(run, inputs, variant, own_part(run)).train();
  run.world->from_chief("result of " + variant.name, [&] {
    run.world->begin("writing the model");
    record(run, variant, outcome, write_shared(run, inputs, variant, outcome), seconds());
    return std::string("written");
  });
}

bool is_finished(const Run& run, const std::string& step) {
  if (!run.world) return run.folder.is_finished(step);
  return run.world->from_chief(step + " is finished", [&] {
    return std::string(run.folder.is_finished(step) ? "yes" : "no");
  }) == "yes";
}

}  // namespace

void train_stage(Run& run) {
  keep_freed_memory();
  auto variants = config::quantizer_variants(run.config);
  if (variants.empty()) variants.push_back({config::result_names(run.config).front(), {}});
  std::optional<TrainingInputs> inputs;
  for (const auto& variant : variants) {
    if (is_finished(run, "train." + variant.name)) continue;
    if (!inputs) inputs = open_inputs(run);
    train_variant(run, *inputs, variant);
  }
}

}  // namespace qtk::stage
