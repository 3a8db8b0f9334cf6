// The rotary settings of config.json, in the spelling of transformers 5 ("rope_parameters") and the
// one before it
// ("rope_theta", "rope_scaling", "partial_rotary_factor").
#pragma once

#include "model/config_fields.hpp"
#include "model/decoder_config.hpp"
#include "model/family.hpp"

namespace qtk::model {

/// Fills the rope fields of `config`, whose dimensions are known already.
void read_rope(const ConfigFields& fields, const Family& family, DecoderConfig& config);

}  // namespace qtk::model
