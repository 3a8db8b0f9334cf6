// How a decoder's tensors and settings are spelt in GGUF, both ways. Follows the family table;
// llama.cpp's converter is the reference for names, order of rows and metadata keys.
#pragma once

#include "format/gguf_metadata.hpp"
#include "format/tensor_info.hpp"
#include "model/decoder_config.hpp"
#include "model/family.hpp"

#include <ATen/core/Tensor.h>
#include <nlohmann/json_fwd.hpp>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace qtk::model {

/// One tensor in both worlds.
struct GgufTensorRule {
  std::string gguf;          // "blk.0.attn_q.weight"
  std::string hugging_face;  // "model.layers.0.self_attn.q_proj.weight"
  int64_t permuted_heads =
      0;  // > 0: rows are stored with the two halves of each of so many heads interleaved
  bool is_transposed = false;  // Hugging Face stores [in, out]
  bool is_optional = false;    // the head of a tied model, biases
};

/// All tensors that a decoder of this configuration may have.
std::vector<GgufTensorRule> gguf_layout(const Family& family, const DecoderConfig& config);

/// A dense tensor as GGUF stores it -> as the Hugging Face folder does, and back. Views where
/// possible.
at::Tensor from_gguf_order(const at::Tensor& tensor, const GgufTensorRule& rule);
at::Tensor to_gguf_order(const at::Tensor& tensor, const GgufTensorRule& rule);

/// config.json of a GGUF file. @param shape_of  shape of a tensor of the file, empty if it has none
/// of that name
/// @param rope_frequencies  content of "rope_freqs.weight" (Llama-3.1's rescaled frequencies), or
/// undefined
/// @throws DataError for an unknown architecture or a missing or absurd value, naming the key
nlohmann::json config_from_gguf(
    const format::GgufMetadata& metadata,
    const std::function<std::vector<int64_t>(std::string_view)>& shape_of,
    const at::Tensor& rope_frequencies);

/// The model's own keys ("llama.block_count", ...) for an export.
void add_model_metadata(const Family& family, const DecoderConfig& config,
                        format::GgufMetadata& metadata);

/// The divisors of Llama-3.1's frequencies, [head_dim / 2] fp32: what "rope_freqs.weight" holds.
at::Tensor llama3_frequency_divisors(const Llama3RopeScaling& scaling, double theta,
                                     int64_t head_dim);

}  // namespace qtk::model
