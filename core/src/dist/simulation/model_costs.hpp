// What the layers of a decoder cost, from its config.json alone: for plans of runs that have not
// been measured.
#pragma once

#include "dist/layer_split.hpp"
#include "model/decoder_config.hpp"

#include <cstdint>
#include <vector>

namespace qtk::dist {

struct LayerCosts {
  int64_t parameters = 0;
  double forward_flops = 0;  // per token, a multiplication and an addition counted as two
};

struct ModelCosts {
  std::vector<LayerCosts> layers;
  LayerCosts embedding;  // with position table; on the first stage
  LayerCosts head;  // with the final norm; on the last stage. Its weight, if it is tied, counts
                    // as parameters of both
  int64_t tied_parameters = 0;
};

/// @param ctx  tokens of a window, which attention looks back on
ModelCosts model_costs(const model::DecoderConfig& config, int64_t ctx);

/// Costs of one stage: its layers, and what the ends of the pipeline add.
LayerCosts stage_costs(const ModelCosts& model, const std::vector<LayerRange>& ranges,
                       int64_t stage);

}  // namespace qtk::dist
