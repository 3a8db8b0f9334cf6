// Models on disk with quantized weights, and every kind of model opened for use.
//
// A packed model is a Hugging Face folder whose config.json has quantization_config.quant_method
// "qtk". One safetensors shard per transformer block, so that a block is the unit of memory and of
// resumption; the weight of a quantized layer is stored as "<site>.<name>" for each tensor of its
// PackedWeight instead of "<site>.weight".
#pragma once

#include "model/decoder.hpp"
#include "stage/quantizer_plan.hpp"

#include <qtk/runtime/run_context.hpp>

#include <nlohmann/json_fwd.hpp>

#include <filesystem>
#include <memory>

namespace qtk::stage {

/// A decoder with its quantizers, which outlive the layers they made.
struct OpenModel {
  QuantizerPlan plan;  // without groups for a dense model
  std::unique_ptr<model::Decoder> decoder;
  int64_t tensor_bytes = 0;    // of all stored tensors
  int64_t packed_bits = 0;     // of the quantized weights, metadata included; 0 for a dense model
  int64_t packed_weights = 0;  // how many weights these hold
};

/// Opens a dense or packed folder. @throws DataError, PluginError
OpenModel open_model(const std::filesystem::path& folder, const model::LoadOptions& options,
                     RunContext& context);

/// Error that quantization left in one layer, and its size.
struct SiteOutcome {
  int64_t site = 0;
  double relative_error = 0;  // ||W - W'||_F / ||W||_F
  int64_t storage_bits = 0;
};

/// Quantizes the sites of `plan` block by block into `folder`; where a layer is attached to a site,
/// that one is packed. Blocks whose shard is there already are kept. A plan without sites gives a
/// dense model.
/// @param rest_dtype  of tensors that stay dense; undefined keeps theirs
/// @returns one outcome per quantized site, in order
std::vector<SiteOutcome> write_packed_model(const std::filesystem::path& source,
                                            const model::Decoder& decoder,
                                            const QuantizerPlan& plan,
                                            const std::filesystem::path& folder,
                                            c10::optional<at::ScalarType> rest_dtype,
                                            const std::string& label);

/// For the record of a run.
nlohmann::json outcomes_json(const std::vector<SiteOutcome>& outcomes,
                             const std::vector<LinearSite>& sites);

/// Copies what a model folder holds besides weights (tokenizer, generation settings); not
/// config.json.
void copy_companions(const std::filesystem::path& source, const std::filesystem::path& folder);

}  // namespace qtk::stage
