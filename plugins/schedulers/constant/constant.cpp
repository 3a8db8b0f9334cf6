// Constant learning rate after a warmup.
#include <qtk/plugin.hpp>

#include <schedule_curve/learning_rate_curve.hpp>

namespace qtk {
namespace {

struct ConstantOptions {
  double warmup_ratio = 0.05;

  static void describe(OptionSet<ConstantOptions>& o) { curve::describe_warmup(o); }
};

class Constant final : public curve::LearningRate {
 public:
  explicit Constant(ConstantOptions options) : LearningRate(options.warmup_ratio) {}

 private:
  double after_warmup(int64_t) const override { return 1; }
};

}  // namespace
}  // namespace qtk

using qtk::Constant;
using qtk::ConstantOptions;
QTK_PLUGIN(Scheduler, Constant, ConstantOptions, .name = "constant", .version = "0.1.0",
           .summary = "Constant learning rate after a warmup", .paper = "common practice")
