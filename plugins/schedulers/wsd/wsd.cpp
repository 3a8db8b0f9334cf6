// Warmup, stable, decay: the learning rate stays at its height until the last part of the run.
#include <qtk/plugin.hpp>

#include <schedule_curve/learning_rate_curve.hpp>

namespace qtk {
namespace {

struct WsdOptions {
  double warmup_ratio = 0.05;
  double decay_ratio = 0.1;
  double floor = 0.1;

  static void describe(OptionSet<WsdOptions>& o) {
    curve::describe_warmup(o);
    o.field("decay_ratio", &WsdOptions::decay_ratio)
        .range(0, 1)
        .original("--wsd-ratio")
        .doc("Share of the run, at its end, in which the learning rate falls on half a cosine.");
    curve::describe_floor(o);
  }

  void validate() const {
    if (warmup_ratio + decay_ratio > 1)
      throw ConfigError("warmup_ratio and decay_ratio add up to " +
                            std::to_string(warmup_ratio + decay_ratio) + ", expected at most 1",
                        "shorten one of them");
  }
};

class Wsd final : public curve::LearningRate {
 public:
  explicit Wsd(WsdOptions options) : LearningRate(options.warmup_ratio), options_(options) {}

 private:
  double after_warmup(int64_t step) const override {
    const int64_t decay = std::max<int64_t>(1, curve::share(total(), options_.decay_ratio));
    const int64_t begin = std::max(warmup(), total() - decay);
    return curve::cosine(curve::progress(step, begin, total()), options_.floor);
  }

  const WsdOptions options_;
};

}  // namespace
}  // namespace qtk

using qtk::Wsd;
using qtk::WsdOptions;
QTK_PLUGIN(Scheduler, Wsd, WsdOptions, .name = "wsd", .version = "0.1.0",
           .summary = "Warmup, stable, decay", .paper = "MiniCPM, arXiv 2404.06395")
