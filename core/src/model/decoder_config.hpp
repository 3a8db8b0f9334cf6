// config.json of a decoder, reduced to what its computation depends on.
#pragma once

#include <c10/core/ScalarType.h>
#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace qtk::model {

/// Frequencies rescaled as Llama-3.1 does (transformers: rope_type "llama3").
struct Llama3RopeScaling {
  double factor = 8, low_freq_factor = 1, high_freq_factor = 4;
  int64_t original_max_position = 8192;
};

struct DecoderConfig {
  std::string model_type;  // key of the family table: "llama", "qwen2", ...
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t num_layers = 0;
  int64_t num_heads = 0;
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;
  int64_t max_positions = 0;
  double norm_eps = 1e-5;
  double rope_theta = 10000;
  double rope_partial = 1;  // share of head_dim that is rotated (Phi-3: partial_rotary_factor)
  double rope_linear_factor = 1;  // rope_type "linear": positions are divided by it
  std::optional<Llama3RopeScaling> llama3_rope;
  std::optional<int64_t> sliding_window;  // key j is visible to query i iff 0 <= i - j < window
  std::vector<bool> layer_slides;  // per layer, whether sliding_window applies; empty: all layers
  bool has_qkv_bias = false, has_out_bias = false, has_mlp_bias = false;
  bool is_tied = false;                  // lm_head shares the embedding
  std::optional<c10::ScalarType> dtype;  // named by the file; the tensors carry their own
  std::string quantization_method;       // of "quantization_config"; empty for dense weights

  /// Leading features of a head that are rotated; even.
  int64_t rotary_dim() const {
    return static_cast<int64_t>(static_cast<double>(head_dim) * rope_partial);
  }
  /// The window of one layer, if it has one.
  std::optional<int64_t> window_of(int64_t layer) const;
};

/// Absent fields take the defaults of transformers.
/// @throws DataError naming the file and the field that is missing, ill-typed or unsupported (an
/// unknown model_type lists the known ones)
DecoderConfig read_decoder_config(const std::filesystem::path& folder);
/// The same from the content of a config.json; errors name `file`.
DecoderConfig read_decoder_config(const nlohmann::json& content, const std::filesystem::path& file);

}  // namespace qtk::model
