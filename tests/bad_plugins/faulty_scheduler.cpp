// A linear decay that breaks the rule named by its option.
#include <qtk/plugin.hpp>

#include <clocale>
#include <limits>

namespace {

struct FaultyOptions {
  std::string fault = "none";
  double peak = 1.0;

  static void describe(qtk::OptionSet<FaultyOptions>& o) {
    o.field("fault", &FaultyOptions::fault).doc("The rule to break.");
    o.field("peak", &FaultyOptions::peak).range(0, 10).doc("The value at step 0.");
  }
};

class FaultyScheduler final : public qtk::Scheduler {
 public:
  explicit FaultyScheduler(FaultyOptions options) : options_(std::move(options)) {}

  std::vector<qtk::KnobSpec> knobs() const override {
    return {{.name = "lr"},
            {.name = is("repeats_knob") ? "lr" : "temperature", .is_per_site = true}};
  }
  void prepare(const qtk::SchedulePlan& plan) override { total_ = plan.total_steps; }
  double value(std::string_view knob, int64_t step, const qtk::LinearSite* site) const override {
    if (is("changes_locale")) std::setlocale(LC_ALL, "C.UTF-8");
    if (!is("accepts_any_knob")) QTK_CHECK(knob == "lr" || knob == "temperature", "no knob ", knob);
    if (is("divides_by_zero") && step > total_) return std::numeric_limits<double>::quiet_NaN();
    if (is("counts_calls")) return static_cast<double>(++calls_);
    const double peak = is("ignores_option") ? 1.0 : options_.peak;
    return (site ? 1.0 + static_cast<double>(site->index) : 1.0) * peak *
           static_cast<double>(total_ - step);
  }

 private:
  bool is(const char* fault) const { return options_.fault == fault; }

  FaultyOptions options_;
  int64_t total_ = 0;
  mutable int calls_ = 0;
};

}  // namespace

QTK_PLUGIN(Scheduler, FaultyScheduler, FaultyOptions, .name = "faulty_scheduler", .version = "1",
           .summary = "Breaks one rule of the contract")
