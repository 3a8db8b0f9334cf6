// Learning rate on half a cosine from the end of the warmup to the end of the run.
#include <qtk/plugin.hpp>

#include <schedule_curve/learning_rate_curve.hpp>

namespace qtk {
namespace {

struct CosineOptions {
  double warmup_ratio = 0.05;
  double floor = 0.1;

  static void describe(OptionSet<CosineOptions>& o) {
    curve::describe_warmup(o);
    curve::describe_floor(o);
  }
};

class Cosine final : public curve::LearningRate {
 public:
  explicit Cosine(CosineOptions options) : LearningRate(options.warmup_ratio), options_(options) {}

 private:
  double after_warmup(int64_t step) const override {
    return curve::cosine(curve::progress(step, warmup(), total()), options_.floor);
  }

  const CosineOptions options_;
};

}  // namespace
}  // namespace qtk

using qtk::Cosine;
using qtk::CosineOptions;
QTK_PLUGIN(Scheduler, Cosine, CosineOptions, .name = "cosine", .version = "0.1.0",
           .summary = "Learning rate that falls on half a cosine after a warmup",
           .paper = "SGDR, arXiv 1608.03983")
