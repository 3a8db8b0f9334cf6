// One decay over the whole run, with a lower learning rate in its second part.
#include <qtk/plugin.hpp>

#include <schedule_curve/learning_rate_curve.hpp>

namespace qtk {
namespace {

struct TwoStageOptions {
  double warmup_ratio = 0.05;
  double stage_ratio = 0.5;
  double second_stage = 0.667;
  std::string decay = "cosine";
  double floor = 0.1;

  static void describe(OptionSet<TwoStageOptions>& o) {
    curve::describe_warmup(o);
    o.field("stage_ratio", &TwoStageOptions::stage_ratio)
        .range(0, 1)
        .original("--stage-ratio")
        .doc("Share of the run after which the second stage begins.");
    o.field("second_stage", &TwoStageOptions::second_stage)
        .range(0, 1)
        .doc("Factor of the second stage.");
    o.field("decay", &TwoStageOptions::decay)
        .one_of({"cosine", "linear"})
        .original("--lr-decay-style two_stage, custom")
        .doc("Half a cosine to floor, or a line to 0 whose second stage runs from step 0.");
    curve::describe_floor(o);
  }

  void validate() const {
    if (stage_ratio < warmup_ratio)
      throw ConfigError("stage_ratio " + std::to_string(stage_ratio) +
                            " lies within the warmup of " + std::to_string(warmup_ratio),
                        "raise stage_ratio or shorten warmup_ratio");
  }
};

class TwoStage final : public curve::LearningRate {
 public:
  explicit TwoStage(TwoStageOptions options)
      : LearningRate(options.warmup_ratio), options_(options) {}

 private:
  double after_warmup(int64_t step) const override {
    return options_.decay == "linear" ? on_line(step) : on_cosine(step);
  }

  double on_cosine(int64_t step) const {
    const double factor =
        step < curve::share(total(), options_.stage_ratio) ? 1 : options_.second_stage;
    return factor * curve::cosine(curve::progress(step, warmup(), total()), options_.floor);
  }

  double on_line(int64_t step) const {
    const double of_run = curve::progress(step, 0, total());
    if (of_run >= options_.stage_ratio) return options_.second_stage * curve::line(of_run, 0);
    return std::max(0.0, 1 - static_cast<double>(step - warmup()) /
                                 static_cast<double>(std::max<int64_t>(1, total())));
  }

  const TwoStageOptions options_;
};

}  // namespace
}  // namespace qtk

using qtk::TwoStage;
using qtk::TwoStageOptions;
QTK_PLUGIN(Scheduler, TwoStage, TwoStageOptions, .name = "two_stage", .version = "0.1.0",
           .summary = "One decay with a lower second stage",
           .paper = "recipe of BitNet b1.58, as in the first code of Hestia")
