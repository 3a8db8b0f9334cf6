// The collective steps between the last backward pass and the optimizer, in simulated time: who
// waits for whom, and for how long.
#pragma once

#include "dist/simulation/pipeline_model.hpp"

#include <cstdint>
#include <vector>

namespace qtk::dist {

/// In the order in which a rank takes part in them.
enum class ExchangeKind { kTiedWeights, kReplicas, kGlobalNorm };
inline constexpr ExchangeKind kExchangeKinds[] = {
    ExchangeKind::kTiedWeights, ExchangeKind::kReplicas, ExchangeKind::kGlobalNorm};

/// Ranks here are the simulated ones, replica after replica. Times stand for all replicas.
class SimulatedExchanges {
 public:
  explicit SimulatedExchanges(const PipelineModel& model);

  /// The exchange of this kind in which a rank takes part, or -1.
  int64_t exchange_of(int64_t rank, ExchangeKind kind) const;
  /// One more rank is ready. @returns true if it was the last one
  bool join(int64_t exchange);
  double duration_s(int64_t exchange) const { return exchanges_[exchange].duration_s; }
  std::vector<int64_t> members(int64_t exchange) const;

 private:
  struct Exchange {
    int64_t first = 0, stride = 1;  // of its ranks
    int64_t size = 0;
    double duration_s = 0;
    int64_t ready = 0;
  };

  int64_t stages_, replicas_;
  int64_t tied_ = -1, ring_ = -1,
          norm_ = -1;  // first exchange of a kind; -1: there is none
  std::vector<Exchange> exchanges_;
};

}  // namespace qtk::dist
