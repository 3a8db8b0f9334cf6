// Which variant gives the best trade-off of size and quality, and the run in one sentence.
#pragma once

#include "report/run_report.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace qtk::report {

/// The figure that `model` has under `protocol`, or null.
const QualityFigure* figure_of(const ModelResult& model, std::string_view protocol);

/// `protocol`, or words that say it was not recorded.
std::string protocol_name(const std::string& protocol);

/// Every protocol under which some model was measured, in order of first appearance.
std::vector<std::string> protocols_of(const RunReport& report);

/// The smallest variant that is smaller than the base model and whose perplexity, under the base
/// model's first protocol, exceeds the base model's by at most `report.tolerance`; null if there is
/// none or nothing to compare. A size of 0 counts as unknown and comes last.
const ModelResult* best_tradeoff(const RunReport& report);

/// What the run found, computed from its figures.
std::string summary_sentence(const RunReport& report);

}  // namespace qtk::report
