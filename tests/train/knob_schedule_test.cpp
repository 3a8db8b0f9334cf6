#include "train/knob_schedule.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace qtk::train {
namespace {

/// pressure = step / 10 for all; temperature = step + out_features of the site.
class FakeScheduler final : public Scheduler {
 public:
  std::vector<KnobSpec> knobs() const override {
    return {{"lr", false, 1}, {"pressure", false, 0}, {"temperature", true, 0}};
  }
  double value(std::string_view knob, int64_t step, const LinearSite* site) const override {
    if (knob == "pressure") return static_cast<double>(step) / 10;
    return static_cast<double>(step + site->out_features);
  }
};

TEST(KnobSchedule, GivesEverySiteItsKnobsAndDescribesTheirSpread) {
  const FakeScheduler scheduler;
  const std::vector<LinearSite> sites = {{.name = "a", .out_features = 2},
                                         {.name = "b", .out_features = 8}};
  const KnobSchedule schedule(scheduler, sites, sites);

  const Knobs knobs = schedule.at(5, 1);
  nlohmann::json row;
  schedule.describe(5, row);

  EXPECT_EQ(knobs.at("pressure"), 0.5);
  EXPECT_EQ(knobs.at("temperature"), 13);
  EXPECT_FALSE(knobs.has("lr"));  // the optimizer's
  EXPECT_EQ(row, (nlohmann::json{{"pressure", 0.5},
                                 {"temperature/min", 7.0},
                                 {"temperature/mean", 10.0},
                                 {"temperature/max", 13.0}}));
  EXPECT_TRUE(KnobSchedule().empty());
}

}  // namespace
}  // namespace qtk::train
