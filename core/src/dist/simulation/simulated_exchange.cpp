#include "dist/simulation/simulated_exchange.hpp"

#include <cmath>

namespace qtk::dist {
namespace {

/// A sum of one number over all ranks: up and down a tree of messages.
double norm_s(const PipelineModel& model) {
  const LinkModel& link = model.num_stages() > 1 ? model.link : model.data_link;
  const double levels = std::ceil(std::log2(static_cast<double>(model.num_ranks())));
  return 2 * levels * (link.latency_s + link.overhead_s);
}

}  // namespace

SimulatedExchanges::SimulatedExchanges(const PipelineModel& model)
    : stages_(model.num_stages()), replicas_(model.simulated_replicas()) {
  const auto next = [this] { return static_cast<int64_t>(exchanges_.size()); };
  if (model.tied_bytes > 0 && stages_ > 1) {
    tied_ = next();
    for (int64_t d = 0; d < replicas_; ++d)
      exchanges_.push_back(
          {d * stages_, stages_ - 1, 2, ring_all_reduce_s(model.data_link, 2, model.tied_bytes)});
  }
  if (model.replicas > 1) {
    ring_ = next();
    for (int64_t p = 0; p < stages_; ++p)
      exchanges_.push_back(
          {p, stages_, replicas_,
           ring_all_reduce_s(model.data_link, model.replicas, model.stages[p].gradient_bytes)});
  }
  if (model.has_global_norm && model.num_ranks() > 1) {
    norm_ = next();
    exchanges_.push_back({0, 1, replicas_ * stages_, norm_s(model)});
  }
}

int64_t SimulatedExchanges::exchange_of(int64_t rank, ExchangeKind kind) const {
  const int64_t stage = rank % stages_;
  switch (kind) {
    case ExchangeKind::kTiedWeights:
      return tied_ >= 0 && (stage == 0 || stage == stages_ - 1) ? tied_ + rank / stages_ : -1;
    case ExchangeKind::kReplicas:
      return ring_ >= 0 ? ring_ + stage : -1;
    case ExchangeKind::kGlobalNorm:
      return norm_;
  }
  return -1;
}

bool SimulatedExchanges::join(int64_t exchange) {
  Exchange& state = exchanges_[exchange];
  if (++state.ready < state.size) return false;
  state.ready = 0;
  return true;
}

std::vector<int64_t> SimulatedExchanges::members(int64_t exchange) const {
  const Exchange& state = exchanges_[exchange];
  std::vector<int64_t> ranks;
  for (int64_t i = 0; i < state.size; ++i) ranks.push_back(state.first + i * state.stride);
  return ranks;
}

}  // namespace qtk::dist
