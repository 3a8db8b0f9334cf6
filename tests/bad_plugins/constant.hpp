// A scheduler with one knob that never changes: what the bad plugins are before they are bad.
#pragma once

#include <qtk/plugin.hpp>

class Constant : public qtk::Scheduler {
 public:
  std::vector<qtk::KnobSpec> knobs() const override { return {{.name = "lr", .initial = 1}}; }
  double value(std::string_view, int64_t, const qtk::LinearSite*) const override { return 1; }
};
