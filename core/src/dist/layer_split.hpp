// Which layers a pipeline stage holds. The first stage also has the embedding, the last one the
// final norm and the head.
#pragma once

#include "model/decoder_config.hpp"

#include <cstdint>
#include <string_view>
#include <vector>

namespace qtk::dist {

struct LayerRange {
  int64_t begin = 0, end = 0;  // layers [begin, end); may be empty on a stage
  bool operator==(const LayerRange&) const = default;
};

enum class Balance { kParameters, kFlops };

/// "parameters" or "flops".
Balance balance_from(std::string_view word);

/// Contiguous ranges, one per stage, whose largest weight is as small as it can be. What is
/// weighed: parameters held, or multiplications of a token's forward pass (attention at `context`
/// tokens included); embedding and head count for the first and the last stage.
/// @throws ConfigError if there are more stages than layers
std::vector<LayerRange> split_layers(const model::DecoderConfig& config, int64_t stages,
                                     Balance balance, int64_t context);
/// @param layers  of every stage. @throws ConfigError unless they add up to the model's
std::vector<LayerRange> split_layers(const model::DecoderConfig& config,
                                     const std::vector<int64_t>& layers);

}  // namespace qtk::dist
