// Search strategies choose options for every site under limits. Ask and tell: the state of a
// strategy is the replay of its observations, so that a resumed search proposes what the
// undisturbed one would have.
#pragma once

#include <qtk/api/sensitivity.hpp>
#include <qtk/runtime/run_context.hpp>

#include <functional>
#include <limits>
#include <span>
#include <string>
#include <vector>

namespace qtk {

/// One choice to make: for instance the bits of one layer. Choices are ordered.
struct SearchDimension {
  std::string name;             // "model.layers.3/bits"
  std::vector<double> choices;  // at least one; numeric values in rising order
};

/// One value per dimension, as an index into its choices.
using Candidate = std::vector<int>;

/// A limit on a measured figure, for example ppl <= 8. Exact figures (size) have a function and are
/// never measured.
struct SearchConstraint {
  std::string metric;
  double upper_bound = std::numeric_limits<double>::infinity();
  std::function<double(const Candidate&)> exact;  // empty: measured
};

struct SearchProblem {
  std::vector<SearchDimension> dimensions;
  std::vector<std::string> objectives;  // minimised, in this order
  std::vector<SearchConstraint> constraints;
  std::vector<Candidate> initial;           // to be tried first
  const SensitivityTable* prior = nullptr;  // null if the run has none
};

struct Observation {
  Candidate candidate;
  bool is_failed = false;                 // crashed, ran out of memory or returned NaN
  std::vector<double> objectives;         // as in SearchProblem::objectives
  std::vector<double> standard_errors;    // 0 for exact figures
  std::vector<double> constraint_values;  // as in SearchProblem::constraints
};

class QTK_API SearchStrategy {
 public:
  virtual ~SearchStrategy();
  virtual void prepare(const SearchProblem& problem) = 0;
  /// Up to `count` new candidates: none breaks an exact constraint, none repeats. Fewer means the
  /// space is exhausted.
  virtual std::vector<Candidate> suggest(int count) = 0;
  virtual void observe(const Observation& observation) = 0;
};

}  // namespace qtk
