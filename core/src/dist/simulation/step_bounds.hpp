// How fast a step could be if only one resource cost anything: what bounds a simulated step, and
// the ceiling that a link sets.
#pragma once

#include "dist/simulation/simulation.hpp"

#include <string>

namespace qtk::dist {

/// Seconds of a step, each without the others.
struct StepBounds {
  double compute_s = 0;   // the busiest stage: its passes, encoding and decoding, and the optimizer
  double link_s = 0;      // the busiest egress, at its rate, without latency
  double exchange_s = 0;  // gradients of replicas and tied weights, the global norm
  double cores_s = 0;  // all work of the busiest host, by all of its cores; 0: cores are not shared
};

StepBounds step_bounds(const PipelineModel& model);

/// "compute", "link", "gradient exchange", "cores", or "pipeline fill" where none of them takes
/// half of the step.
std::string bounding_resource(const StepBounds& bounds, const Simulation& simulation);

}  // namespace qtk::dist
