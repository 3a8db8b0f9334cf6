// Sliding windows in config.json: "sliding_window", "use_sliding_window", "max_window_layers",
// "layer_types".
#pragma once

#include "model/config_fields.hpp"
#include "model/decoder_config.hpp"
#include "model/family.hpp"

namespace qtk::model {

/// Fills sliding_window and layer_slides of `config`, whose number of layers is known already.
void read_windows(const ConfigFields& fields, const Family& family, DecoderConfig& config);

}  // namespace qtk::model
