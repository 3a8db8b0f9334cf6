// Learning rate on a straight line from the end of the warmup to the end of the run.
#include <qtk/plugin.hpp>

#include <schedule_curve/learning_rate_curve.hpp>

namespace qtk {
namespace {

struct LinearOptions {
  double warmup_ratio = 0.05;
  double min_ratio = 0.1;

  static void describe(OptionSet<LinearOptions>& o) {
    o.field("warmup_ratio", &LinearOptions::warmup_ratio)
        .range(0, 1)
        .original("--warmup-ratio")
        .doc("Share of the run in which the learning rate rises from 0 on a line.");
    o.field("min_ratio", &LinearOptions::min_ratio)
        .range(0, 1)
        .original("--min-lr-ratio")
        .doc("Learning rate at the end, as a share of the largest.");
  }
};

class Linear final : public curve::LearningRate {
 public:
  explicit Linear(LinearOptions options) : LearningRate(options.warmup_ratio), options_(options) {}

 private:
  double after_warmup(int64_t step) const override {
    return curve::line(curve::progress(step, warmup(), total()), options_.min_ratio);
  }

  const LinearOptions options_;
};

}  // namespace
}  // namespace qtk

using qtk::Linear;
using qtk::LinearOptions;
QTK_PLUGIN(Scheduler, Linear, LinearOptions, .name = "linear", .version = "0.1.0",
           .summary = "Learning rate that falls on a line after a warmup",
           .paper = "common practice")
