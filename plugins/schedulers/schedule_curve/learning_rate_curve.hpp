// What the learning-rate schedulers share: the warmup, the curves, the knob, options. No state.
#pragma once

#include <qtk/api/scheduler.hpp>
#include <qtk/options/option_set.hpp>
#include <qtk/runtime/error.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <string>
#include <string_view>
#include <vector>

namespace qtk::curve {

/// From 1 at progress 0 to `floor` at progress 1; constant outside.
inline double cosine(double progress, double floor) {
  const double p = std::clamp(progress, 0.0, 1.0);
  return floor + (1 - floor) * 0.5 * (1 + std::cos(std::numbers::pi * p));
}

/// As cosine(), on a straight line.
inline double line(double progress, double floor) {
  return 1 - (1 - floor) * std::clamp(progress, 0.0, 1.0);
}

/// (step - begin) / (end - begin), at least one step long.
inline double progress(int64_t step, int64_t begin, int64_t end) {
  return static_cast<double>(step - begin) / static_cast<double>(std::max<int64_t>(1, end - begin));
}

/// Steps in a share of a run, rounded down.
inline int64_t share(int64_t total_steps, double ratio) {
  return static_cast<int64_t>(static_cast<double>(total_steps) * ratio);
}

/// Member `warmup_ratio`.
template <class Options>
void describe_warmup(OptionSet<Options>& o) {
  o.field("warmup_ratio", &Options::warmup_ratio)
      .range(0, 1)
      .original("--warmup-ratio")
      .doc("Share of the run in which the learning rate rises from 0 on a line.");
}
/// Member `floor`.
template <class Options>
void describe_floor(OptionSet<Options>& o) {
  o.field("floor", &Options::floor)
      .range(0, 1)
      .original("--min-lr-ratio")
      .doc("Learning rate at the end, as a share of the largest.");
}

/// A schedule of the learning rate: value("lr") multiplies the optimizer's rate. Rises on a line
/// from 0 during the warmup, then does what after_warmup() says.
class LearningRate : public Scheduler {
 public:
  explicit LearningRate(double warmup_ratio) : warmup_ratio_(warmup_ratio) {}

  std::vector<KnobSpec> knobs() const final {
    return {{.name = "lr", .is_per_site = false, .initial = 1}};
  }
  void prepare(const SchedulePlan& plan) final {
    total_ = plan.total_steps;
    warmup_ = share(total_, warmup_ratio_);
  }
  double value(std::string_view knob, int64_t step, const LinearSite*) const final {
    if (knob != "lr")
      throw Error("no knob '" + std::string(knob) + "' in a learning-rate schedule");
    if (step < warmup_) return static_cast<double>(step) / static_cast<double>(warmup_);
    return after_warmup(step);
  }

 protected:
  virtual double after_warmup(int64_t step) const = 0;
  int64_t total() const { return total_; }
  int64_t warmup() const { return warmup_; }

 private:
  const double warmup_ratio_;
  int64_t total_ = 0, warmup_ = 0;
};

}  // namespace qtk::curve
