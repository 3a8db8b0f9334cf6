#include "dist/simulation/pipeline_model.hpp"

#include <qtk/runtime/error.hpp>

#include <cmath>
#include <string>

namespace qtk::dist {
namespace {

void require(bool holds, const std::string& sentence, const std::string& remedy) {
  if (!holds) throw ConfigError(sentence, remedy);
}

bool is_amount(double value) { return std::isfinite(value) && value >= 0; }

}  // namespace

void PipelineModel::validate() const {
  require(!stages.empty(), "a pipeline of 0 stages cannot be simulated", "give at least one stage");
  require(replicas >= 1 && micro_batches >= 1 && steps >= 1,
          "replicas, micro-batches and steps are " + std::to_string(replicas) + ", " +
              std::to_string(micro_batches) + " and " + std::to_string(steps) +
              ", expected at least 1 of each",
          "check train.global_batch and the number of ranks");
  for (size_t p = 0; p < stages.size(); ++p) {
    const StageCosts& c = stages[p];
    for (const double value :
         {c.forward_s, c.backward_s, c.encode_forward_s, c.decode_forward_s, c.encode_backward_s,
          c.decode_backward_s, c.optimizer_s, c.gradient_bytes})
      require(is_amount(value),
              "a cost of stage " + std::to_string(p) + " is " + std::to_string(value) +
                  ", expected 0 or more",
              "check the file of timings");
  }
  require(is_amount(forward_bytes) && is_amount(backward_bytes) && is_amount(tied_bytes),
          "a message has a negative size", "check the sizes of messages");
  require(is_amount(compute_jitter) && compute_jitter <= 1,
          "the jitter is " + std::to_string(compute_jitter) + ", expected 0 to 1",
          "give it as a part of the computing time");
  require(cores >= 0 && ranks_per_host >= 0 && ranks_per_host <= num_ranks(),
          "hosts have " + std::to_string(cores) + " cores and " + std::to_string(ranks_per_host) +
              " of " + std::to_string(num_ranks()) + " ranks",
          "give at least one core, and no more ranks a host than there are");
  link.validate();
  data_link.validate();
}

}  // namespace qtk::dist
