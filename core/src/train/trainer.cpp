#include "train/trainer.hpp"

#include "base/device.hpp"
#include "base/fault_point.hpp"
#include "base/interrupt.hpp"
#include "base/logging.hpp"
#include "base/median.hpp"
#include "base/progress.hpp"
#include "train/gradient_norm.hpp"
#include "train/sliced_reader.hpp"

#include <qtk/runtime/error.hpp>

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <optional>

namespace qtk::train {
namespace {

using nlohmann::json;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr size_t kMedianLength = 32;  // logged losses behind the running median
constexpr size_t kMedianStart = 4;    // as many must be there before it decides anything

double seconds_between(std::chrono::steady_clock::time_point from,
                       std::chrono::steady_clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

std::string number_text(const char* format, double value) {
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

}  // namespace

Trainer::Trainer(TrainerParts parts)
    : parts_(std::move(parts)), device_(parts_.context.device()), clock_start_(Clock::now()) {
  const auto numbers = at::TensorOptions(at::kFloat).device(device_);
  loss_sum_ = at::zeros({}, numbers);
  divergence_sum_ = at::zeros({}, numbers);
  norm_sum_ = at::zeros({}, numbers);
  counted_ = at::zeros({}, numbers);
  first_fault_ = at::zeros({}, numbers.dtype(at::kLong));
  faults_ = at::zeros({}, numbers.dtype(at::kLong));
  outcome_.held_out = outcome_.best_held_out = kNan;
}

double Trainer::lr_factor(int64_t step) const {
  return parts_.lr_schedule ? parts_.lr_schedule->value("lr", step, nullptr) : 1.0;
}

void Trainer::remember_faults(const at::Tensor& is_faulty) {
  first_fault_ = at::where(first_fault_.eq(0).logical_and(is_faulty),
                           at::full_like(first_fault_, step_ + 1), first_fault_);
  faults_.add_(is_faulty);
}

void Trainer::take_step() {
  auto& model = parts_.model;
  model.set_knobs(&parts_.knobs, step_);
  model.clear_gradients();
  const auto& [cross_entropy, divergence, norm] =
      parts_.gradients.accumulate(step_, step_ * parts_.settings.global_batch);
  const at::NoGradGuard no_grad;
  const auto is_faulty = norm.isfinite().logical_not();
  remember_faults(is_faulty);
  loss_sum_.add_(cross_entropy.masked_fill(is_faulty, 0));
  divergence_sum_.add_(divergence.masked_fill(is_faulty, 0));
  norm_sum_.add_(norm.masked_fill(is_faulty, 0));
  counted_.add_(is_faulty.logical_not());
  if (parts_.settings.clip > 0) clip_to_norm(model.gradients(), norm, parts_.settings.clip);
  const double factor = lr_factor(step_);
  const StepInfo info{
      .step = step_, .total_steps = parts_.total_steps, .learning_rate = parts_.base_lr * factor};
  const auto start = Clock::now();
  model.before_step(info);
  fault_point("optimizer");
  parts_.optimizer.step(factor, is_faulty.to(at::kFloat), step_);
  model.after_step(info);
  parts_.gradients.finish_step(seconds_between(start, Clock::now()));
  ++step_;
  ++timed_steps_;
}

std::string Trainer::last_good_text() const {
  const std::string last = parts_.checkpoints.last_good();
  return last.empty() ? "there is no checkpoint yet" : "the last good checkpoint is " + last;
}

void Trainer::require_finite() {
  const int64_t fault = first_fault_.item<int64_t>();
  if (fault == 0) return;
  if (parts_.settings.on_nan == "stop")
    throw Error(parts_.label + " diverged: the gradients of step " + std::to_string(fault) +
                    " are NaN or infinite; " + last_good_text(),
                "lower optimizer.lr or train.clip, or leave out such steps with train.on_nan: skip",
                ExitCode::kDiverged, "train");
  core_log().warn(parts_.label + ": " + std::to_string(faults_.item<int64_t>()) +
                  " steps since step " + std::to_string(fault) +
                  " had NaN or infinite gradients and were left out");
  first_fault_.zero_();
  faults_.zero_();
}

void Trainer::require_convergence(double loss) {
  const double factor = parts_.settings.divergence_factor;
  if (factor > 0 && recent_losses_.size() >= kMedianStart && std::isfinite(loss)) {
    const double usual = median(recent_losses_);
    if (loss > factor * usual)
      throw Error(
          parts_.label + " diverged: the loss of step " + std::to_string(step_) + " is " +
              number_text("%.4g", loss) + ", more than " + number_text("%g", factor) +
              " times its running median " + number_text("%.4g", usual) + "; " + last_good_text(),
          "lower optimizer.lr, or raise train.divergence_factor", ExitCode::kDiverged, "train");
  }
  if (std::isfinite(loss)) recent_losses_.push_back(loss);
  if (recent_losses_.size() > kMedianLength) recent_losses_.erase(recent_losses_.begin());
}

bool Trainer::is_due(int64_t every) const {
  return every > 0 && (step_ % every == 0 || step_ == parts_.total_steps);
}

void Trainer::log() {
  const double steps = counted_.item<double>();  // waits for the device; 0: all were faulty
  const double loss = loss_sum_.item<double>() / steps;
  const double seconds = seconds_between(clock_start_, Clock::now()) - paused_;
  training_seconds_ += seconds;
  const auto tokens_per_step = parts_.settings.global_batch * parts_.batches.ctx();
  json row = {{"step", step_},
              {"tokens", step_ * tokens_per_step},
              {"loss", loss},
              {"lr", parts_.base_lr * lr_factor(step_ - 1)},
              {"grad_norm", norm_sum_.item<double>() / steps},
              {"tokens_per_s", static_cast<double>(timed_steps_ * tokens_per_step) / seconds}};
  if (parts_.settings.distill.weight > 0)
    row["distill_kl"] = divergence_sum_.item<double>() / steps;
  if (const int64_t bytes = peak_device_bytes(device_); bytes > 0) row["peak_memory_bytes"] = bytes;
  parts_.knobs.describe(step_ - 1, row);
  parts_.gradients.gather(parts_.method_figures);
  parts_.method_figures.take(row);
  if (parts_.gradients.is_chief()) parts_.metrics.write(row);
  outcome_.loss = loss;
  for (auto* sum : {&loss_sum_, &divergence_sum_, &norm_sum_, &counted_}) sum->zero_();
  timed_steps_ = 0;
  paused_ = 0;
  clock_start_ = Clock::now();
  require_convergence(loss);
}

void Trainer::evaluate() {
  const auto start = Clock::now();
  fault_point("evaluation");
  parts_.model.set_knobs(nullptr, step_);
  const double hard = parts_.held_out_loss();
  json row = {{"step", step_}, {"val_loss", hard}};
  if (!parts_.knobs.empty() && !parts_.model.sites().empty()) {
    parts_.model.set_knobs(&parts_.knobs, step_ - 1);
    const double soft = parts_.held_out_loss();
    row["val_loss_soft"] = soft;
    row["hard_soft_gap"] = hard - soft;
  }
  if (parts_.gradients.is_chief()) parts_.metrics.write(row);
  outcome_.held_out = hard;
  if (!(hard >= outcome_.best_held_out)) {  // also where there is none yet
    outcome_.best_held_out = hard;
    outcome_.best_step = step_;
    parts_.model.set_knobs(nullptr, step_);
    if (parts_.keep_best) parts_.keep_best(step_);
  }
  if (parts_.gradients.is_chief())
    core_log().info(parts_.label + ": step " + std::to_string(step_) +
                    " val_loss=" + number_text("%.4f", hard));
  paused_ += seconds_between(start, Clock::now());
}

void Trainer::save() {
  const auto start = Clock::now();
  fault_point("checkpoint");
  TrainState state;
  parts_.model.save(state);
  ScopedWriter optimizer(state, "optimizer");
  parts_.optimizer.save(optimizer);
  parts_.gradients.save(state);
  if (parts_.gradients.is_chief()) save_progress(state);
  parts_.checkpoints.save(step_, state);
  paused_ += seconds_between(start, Clock::now());
}

void Trainer::save_progress(TrainState& state) {
  ScopedWriter own(state, "trainer");
  own.integer("step", step_);
  own.tensor("loss_sum", loss_sum_);
  own.tensor("divergence_sum", divergence_sum_);
  own.tensor("norm_sum", norm_sum_);
  own.tensor("counted", counted_);
  own.tensor("recent_losses", at::tensor(recent_losses_, at::kDouble));
  own.real("loss", outcome_.loss);
  own.real("held_out", outcome_.held_out);
  own.real("best_held_out", outcome_.best_held_out);
  own.integer("best_step", outcome_.best_step);
  own.text("method_figures", parts_.method_figures.save().dump());
  own.integer("metrics_bytes", parts_.metrics.sync());
}

void Trainer::resume() {
  const auto checkpoint = parts_.checkpoints.newest();
  const bool is_chief = parts_.gradients.is_chief();
  if (!checkpoint) {
    if (is_chief) parts_.metrics.rewind(0);
    return;
  }
  const at::NoGradGuard no_grad;
  parts_.model.load(checkpoint->state);
  SlicedReader optimizer(checkpoint->state, "optimizer");
  parts_.optimizer.load(optimizer);
  parts_.gradients.load(checkpoint->state);
  const ScopedReader own(checkpoint->state, "trainer");
  step_ = own.integer("step");
  loss_sum_.copy_(own.tensor("loss_sum"));
  divergence_sum_.copy_(own.tensor("divergence_sum"));
  norm_sum_.copy_(own.tensor("norm_sum"));
  counted_.copy_(own.tensor("counted"));
  const auto losses = own.tensor("recent_losses");
  recent_losses_.assign(losses.const_data_ptr<double>(),
                        losses.const_data_ptr<double>() + losses.numel());
  outcome_.loss = own.real("loss");
  outcome_.held_out = own.real("held_out");
  outcome_.best_held_out = own.real("best_held_out");
  outcome_.best_step = own.integer("best_step");
  if (!is_chief) return;
  parts_.method_figures.load(json::parse(own.text("method_figures")));
  parts_.metrics.rewind(own.integer("metrics_bytes"));
  core_log().info(parts_.label + ": resuming at step " + std::to_string(step_) + " of " +
                  std::to_string(parts_.total_steps));
}

void Trainer::stop_if_asked(bool is_saved) {
  const int signal = parts_.gradients.agreed_signal(interrupt_signal());
  if (signal == 0) return;
  require_finite();
  if (!is_saved) save();
  throw_interrupt(signal);
}

TrainOutcome Trainer::run() {
  const auto start = Clock::now();
  const int64_t first_step = step_;
  std::optional<Progress> progress;
  if (parts_.gradients.is_chief()) progress.emplace(parts_.label, parts_.total_steps, "step");
  if (progress) progress->start_at(step_);
  clock_start_ = Clock::now();
  while (step_ < parts_.total_steps) {
    take_step();
    const bool logs = is_due(parts_.settings.log_every),
               evaluates = parts_.held_out_loss && is_due(parts_.settings.eval_every),
               saves = is_due(parts_.settings.checkpoint_every) || step_ == parts_.total_steps;
    if (device_.is_cpu() || logs || evaluates || saves) require_finite();
    if (logs) log();
    if (evaluates) evaluate();
    if (saves) save();
    if (progress && logs) progress->note("loss " + number_text("%.3f", outcome_.loss));
    if (progress) progress->advance(1);
    stop_if_asked(/*is_saved=*/saves);
  }
  outcome_.steps = step_;
  outcome_.tokens = step_ * parts_.settings.global_batch * parts_.batches.ctx();
  outcome_.seconds = seconds_between(start, Clock::now());
  outcome_.tokens_per_second =
      training_seconds_ > 0
          ? static_cast<double>((step_ - first_step) * parts_.settings.global_batch *
                                parts_.batches.ctx()) /
                training_seconds_
          : 0;
  return outcome_;
}

}  // namespace qtk::train
