#include "dist/simulation/model_costs.hpp"

#include "model/tensor_layout.hpp"

#include <qtk/runtime/check.hpp>

#include <algorithm>

namespace qtk::dist {
namespace {

int64_t numel(const model::TensorSlot& slot) {
  int64_t product = 1;
  for (const int64_t size : slot.shape) product *= size;
  return product;
}

LayerCosts& part_of(const model::TensorSlot& slot, ModelCosts& costs) {
  if (slot.place == model::SlotPlace::kEmbedding) return costs.embedding;
  if (slot.place == model::SlotPlace::kHead) return costs.head;
  return costs.layers.at(static_cast<size_t>(slot.layer));
}

/// Scores and weighted sums: each query sees half of its window on average.
double attention_flops(const model::DecoderConfig& config, int64_t layer, int64_t ctx) {
  const int64_t window = std::min(ctx, config.window_of(layer).value_or(ctx));
  return 2.0 * static_cast<double>(window * config.num_heads * config.head_dim);
}

}  // namespace

ModelCosts model_costs(const model::DecoderConfig& config, int64_t ctx) {
  const model::Family* family = model::find_family(config.model_type);
  QTK_CHECK(family, "unknown model type ", config.model_type);
  ModelCosts costs;
  costs.layers.resize(static_cast<size_t>(config.num_layers));
  for (const auto& slot : model::tensor_layout(*family, config))
    part_of(slot, costs).parameters += numel(slot);
  for (const auto& site : model::linear_sites(*family, config))
    if (site.block >= 0)
      costs.layers[site.block].forward_flops += 2.0 * static_cast<double>(site.numel());
  for (int64_t layer = 0; layer < config.num_layers; ++layer)
    costs.layers[layer].forward_flops += attention_flops(config, layer, ctx);
  const int64_t head_weight = config.vocab_size * config.hidden_size;
  costs.head.forward_flops = 2.0 * static_cast<double>(head_weight);
  if (config.is_tied) {
    costs.tied_parameters = head_weight;
    costs.head.parameters += head_weight;
  }
  return costs;
}

LayerCosts stage_costs(const ModelCosts& model, const std::vector<LayerRange>& ranges,
                       int64_t stage) {
  LayerCosts sum;
  const auto add = [&](const LayerCosts& part) {
    sum.parameters += part.parameters;
    sum.forward_flops += part.forward_flops;
  };
  const LayerRange range = ranges.at(static_cast<size_t>(stage));
  for (int64_t i = range.begin; i < range.end; ++i) add(model.layers.at(static_cast<size_t>(i)));
  const bool is_first = stage == 0, is_last = stage == std::ssize(ranges) - 1;
  if (is_first) add(model.embedding);
  if (is_last) add(model.head);
  // One rank holds a tied weight once.
  if (is_first && is_last) sum.parameters -= model.tied_parameters;
  return sum;
}

}  // namespace qtk::dist
