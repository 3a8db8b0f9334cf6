// What qtk simulate shows of a simulation: tables and JSON.
#pragma once

#include "dist/simulation/simulation_plan.hpp"
#include "dist/simulation/step_bounds.hpp"

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace qtk::app {

/// What one simulation comes to.
struct SimulationOutcome {
  dist::PipelineModel model;
  dist::Simulation simulation;
  dist::StepBounds bounds;
  std::string bound_by;
  double uncompressed_step_s = 0;
};

/// Per step.
nlohmann::json outcome_json(const dist::SimulationPlan& plan, const SimulationOutcome& outcome);

void print_plan(const dist::SimulationPlan& plan);
void print_outcome(const dist::SimulationPlan& plan, const SimulationOutcome& outcome);
/// One line for every outcome.
void print_sweep(const dist::SimulationPlan& plan, const std::vector<SimulationOutcome>& outcomes);

}  // namespace qtk::app
