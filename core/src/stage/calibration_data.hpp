// Samples on which a model is probed.
#pragma once

#include "config/run_config.hpp"
#include "text/tokenizer.hpp"

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

namespace qtk::stage {

struct CalibrationData {
  std::vector<at::Tensor> batches;  // each [batch_size, ctx] int64 on the CPU
  std::string fingerprint;          // of the token ids
};

/// Windows of ctx tokens without overlap, chosen at random by the seed, each at most once.
/// @throws DataError if the texts hold fewer windows than the batches need
CalibrationData read_calibration(const config::CalibData& data, const text::Tokenizer& tokenizer);

}  // namespace qtk::stage
