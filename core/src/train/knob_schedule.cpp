#include "train/knob_schedule.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace qtk::train {

KnobSchedule::KnobSchedule(const Scheduler& scheduler, std::vector<LinearSite> sites,
                           std::vector<LinearSite> all)
    : scheduler_(&scheduler),
      sites_(std::move(sites)),
      all_(std::move(all)),
      knobs_(scheduler.knobs()) {
  std::erase_if(knobs_, [](const KnobSpec& knob) { return knob.name == "lr"; });
}

Knobs KnobSchedule::at(int64_t step, size_t site) const {
  Knobs knobs;
  for (const auto& knob : knobs_)
    knobs.set(knob.name,
              scheduler_->value(knob.name, step, knob.is_per_site ? &sites_[site] : nullptr));
  return knobs;
}

void KnobSchedule::describe(int64_t step, nlohmann::json& row) const {
  for (const auto& knob : knobs_) {
    if (!knob.is_per_site) {
      row[knob.name] = scheduler_->value(knob.name, step, nullptr);
      continue;
    }
    if (all_.empty()) continue;
    double low = 0, high = 0, sum = 0;
    for (size_t i = 0; i < all_.size(); ++i) {
      const double value = scheduler_->value(knob.name, step, &all_[i]);
      low = i == 0 ? value : std::min(low, value);
      high = i == 0 ? value : std::max(high, value);
      sum += value;
    }
    row[knob.name + "/min"] = low;
    row[knob.name + "/mean"] = sum / static_cast<double>(all_.size());
    row[knob.name + "/max"] = high;
  }
}

}  // namespace qtk::train
