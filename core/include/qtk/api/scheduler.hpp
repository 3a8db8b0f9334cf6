// Schedulers drive knobs: learning rate, temperature, pressure. A value is a pure function of the
// step, so that a resumed run continues exactly. Call order: knobs(), prepare() once, value()
// often. value() may be called from several threads.
#pragma once

#include <qtk/api/linear_site.hpp>
#include <qtk/api/sensitivity.hpp>
#include <qtk/runtime/export.hpp>

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace qtk {

struct KnobSpec {
  std::string name;          // "lr", "temperature"
  bool is_per_site = false;  // value() depends on the site
  double initial = 0;        // before prepare(), for describe
};

struct SchedulePlan {
  int64_t total_steps = 0;
  std::span<const LinearSite> sites;
  const SensitivityTable* sensitivity =
      nullptr;  // null if the run has none; valid during prepare() only
};

class QTK_API Scheduler {
 public:
  virtual ~Scheduler();
  virtual std::vector<KnobSpec> knobs() const = 0;
  virtual void prepare(const SchedulePlan& plan);
  /// Value of `knob` for the step after `step` finished ones; `site` is null for knobs of the whole
  /// run.
  virtual double value(std::string_view knob, int64_t step, const LinearSite* site) const = 0;
};

}  // namespace qtk
