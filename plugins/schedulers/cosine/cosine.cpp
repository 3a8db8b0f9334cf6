// Learning rate on half a cosine from the end of the warmup to the end of the run.
#include <qtk/plugin.hpp>

#include <schedule_curve/learning_rate_curve.hpp>

namespace qtk {
namespace {

struct CosineOptions {
  double warmup_ratio = 0.05;
  double min_ratio = 0.1;

  static void describe(OptionSet<CosineOptions>& o) {
    o.field("warmup_ratio", &CosineOptions::warmup_ratio)
        .range(0, 1)
        .original("--warmup-ratio")
        .doc("Share of the run in which the learning rate rises from 0 on a line.");
    o.field("min_ratio", &CosineOptions::min_ratio)
        .range(0, 1)
        .original("--min-lr-ratio")
        .doc("Learning rate at the end, as a share of the largest.");
  }
};

class Cosine final : public curve::LearningRate {
 public:
  explicit Cosine(CosineOptions options) : LearningRate(options.warmup_ratio), options_(options) {}

 private:
  double after_warmup(int64_t step) const override {
    return curve::cosine(curve::progress(step, warmup(), total()), options_.min_ratio);
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
