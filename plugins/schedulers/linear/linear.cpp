// Learning rate on a straight line from the end of the warmup to the end of the run.
#include <qtk/plugin.hpp>

#include <schedule_curve/learning_rate_curve.hpp>

namespace qtk {
namespace {

struct LinearOptions {
  double warmup_ratio = 0.05;
  double floor = 0.1;

  static void describe(OptionSet<LinearOptions>& o) {
    curve::describe_warmup(o);
    curve::describe_floor(o);
  }
};

class Linear final : public curve::LearningRate {
 public:
  explicit Linear(LinearOptions options) : LearningRate(options.warmup_ratio), options_(options) {}

 private:
  double after_warmup(int64_t step) const override {
    return curve::line(curve::progress(step, warmup(), total()), options_.floor);
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
