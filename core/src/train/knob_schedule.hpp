// What a scheduler says about the knobs of a run's layers, step by step.
#pragma once

#include <qtk/api/linear_site.hpp>
#include <qtk/api/quantizer.hpp>
#include <qtk/api/scheduler.hpp>

#include <nlohmann/json_fwd.hpp>

#include <vector>

namespace qtk::train {

class KnobSchedule {
 public:
  KnobSchedule() = default;  // without knobs
  /// @param scheduler  prepared; outlives this. Knobs called `lr` are the optimizer's and left out
  /// @param sites      of this process; @param all  of the run
  KnobSchedule(const Scheduler& scheduler, std::vector<LinearSite> sites,
               std::vector<LinearSite> all);

  bool empty() const { return knobs_.empty(); }
  /// Of the step after `step` finished ones. @param site  position in `sites`
  Knobs at(int64_t step, size_t site) const;
  /// Of all sites of the run. Adds "<knob>" for knobs of the whole run, "<knob>/min", "/mean",
  /// "/max" for those of sites.
  void describe(int64_t step, nlohmann::json& row) const;

 private:
  const Scheduler* scheduler_ = nullptr;
  std::vector<LinearSite> sites_, all_;
  std::vector<KnobSpec> knobs_;
};

}  // namespace qtk::train
