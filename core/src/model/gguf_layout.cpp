#include "model/gguf_layout.hpp"

#include <qtk/runtime/error.hpp>

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <numbers>

namespace qtk::model {
namespace {

using format::GgufMetadata;
using nlohmann::json;

/// Adds "<name>.weight" and, where biases may exist, "<name>.bias".
class GgufLayoutBuilder {
 public:
  void linear(std::string gguf, std::string hugging_face, int64_t permuted_heads = 0,
              bool is_transposed = false) {
    rules_.push_back(
        {gguf + ".weight", hugging_face + ".weight", permuted_heads, is_transposed, false});
    rules_.push_back({gguf + ".bias", hugging_face + ".bias", permuted_heads, false, true});
  }
  void weight(std::string gguf, std::string hugging_face, bool is_optional = false) {
    rules_.push_back({gguf + ".weight", hugging_face + ".weight", 0, false, is_optional});
  }
  std::vector<GgufTensorRule> take() { return std::move(rules_); }

 private:
  std::vector<GgufTensorRule> rules_;
};

int64_t permuted_heads_of(const Family& family, const DecoderConfig& config, Role role) {
  if (!family.gguf_permutes_qk) return 0;
  if (role == Role::kQuery) return config.num_heads;
  if (role == Role::kKey) return config.num_kv_heads;
  return 0;
}

void add_block(GgufLayoutBuilder& out, const Family& family, const DecoderConfig& config,
               int64_t layer) {
  const auto norm = [&](const PartName& part) {
    const auto gguf = gguf_block_part_name(layer, part);
    const auto hugging_face = block_part_name(family, layer, part);
    if (family.norm == NormKind::kLayer)
      out.linear(gguf, hugging_face);
    else
      out.weight(gguf, hugging_face);
  };
  norm(family.attention_norm);
  norm(family.mlp_norm);
  if (family.has_qk_norm)
    for (const auto& part : {family.query_norm, family.key_norm})
      out.weight(gguf_block_part_name(layer, part), block_part_name(family, layer, part));
  for (const auto& projection : family.projections)
    out.linear(gguf_block_part_name(layer, projection.name),
               block_part_name(family, layer, projection.name),
               permuted_heads_of(family, config, projection.role), family.is_conv1d);
}

/// Rows [heads, 2, half] (rotary pairs half a head apart) -> [heads, half, 2] (pairs adjacent).
at::Tensor interleave_halves(const at::Tensor& t, int64_t heads) {
  return t.unflatten(0, {heads, 2, -1}).transpose(1, 2).flatten(0, 2);
}
at::Tensor separate_halves(const at::Tensor& t, int64_t heads) {
  return t.unflatten(0, {heads, -1, 2}).transpose(1, 2).flatten(0, 2);
}

/// "llama.block_count" and its like, with sane bounds.
class ArchitectureKeys {
 public:
  ArchitectureKeys(const GgufMetadata& metadata, std::string_view architecture)
      : metadata_(metadata), prefix_(std::string(architecture) + ".") {}

  int64_t size(const std::string& key, int64_t largest = int64_t{1} << 31) const {
    return bounded(key, metadata_.integer(prefix_ + key), largest);
  }
  int64_t size_or(const std::string& key, int64_t missing) const {
    return bounded(key, metadata_.integer_or(prefix_ + key, missing), int64_t{1} << 31);
  }
  double real_or(const std::string& key, double missing) const {
    return metadata_.real_or(prefix_ + key, missing);
  }
  bool has(const std::string& key) const { return metadata_.has(prefix_ + key); }
  std::string text(const std::string& key) const { return metadata_.text(prefix_ + key); }

 private:
  int64_t bounded(const std::string& key, int64_t value, int64_t largest) const {
    if (value < 0 || value > largest)
      throw DataError("GGUF key " + prefix_ + key + " is " + std::to_string(value) +
                          ", expected 0 to " + std::to_string(largest),
                      "the file is damaged or not a language model");
    return value;
  }

  const GgufMetadata& metadata_;
  std::string prefix_;
};

const Family& family_of(const GgufMetadata& metadata) {
  const std::string& architecture = metadata.text("general.architecture");
  const Family* family = find_gguf_family(architecture);
  if (!family) {
    std::string known;
    for (const auto& row : families())
      if (known.find(row.gguf_architecture) == std::string::npos)
        known += (known.empty() ? "" : ", ") + std::string(row.gguf_architecture);
    throw DataError("GGUF architecture '" + architecture + "' is not supported", "known: " + known);
  }
  return *family;
}

/// Finds the factor of Llama-3.1's rescaling from the divisors in the file, which carries no
/// parameters for it.
json llama3_scaling_from(const at::Tensor& divisors, double theta, int64_t head_dim) {
  Llama3RopeScaling scaling;
  scaling.factor = divisors.max().item<double>();
  const auto expected = llama3_frequency_divisors(scaling, theta, head_dim);
  if (!divisors.sizes().equals(expected.sizes()) ||
      !at::allclose(divisors.to(at::kFloat), expected, 1e-3))
    throw DataError(
        "rope_freqs.weight does not follow Llama-3.1's rescaling (low 1, high 4, original length "
        "8192)",
        "import the model from its Hugging Face folder instead");
  return {{"rope_type", "llama3"},
          {"factor", scaling.factor},
          {"low_freq_factor", scaling.low_freq_factor},
          {"high_freq_factor", scaling.high_freq_factor},
          {"original_max_position_embeddings", scaling.original_max_position}};
}

json rope_scaling_from(const ArchitectureKeys& keys) {
  const std::string kind = keys.has("rope.scaling.type") ? keys.text("rope.scaling.type") : "none";
  if (kind == "none") return nullptr;
  if (kind != "linear")
    throw DataError("GGUF rope scaling '" + kind + "' is not supported",
                    "known: none, linear, Llama-3.1's frequencies");
  return {{"rope_type", "linear"}, {"factor", keys.real_or("rope.scaling.factor", 1)}};
}

void add_rotary_fields(json& config, const ArchitectureKeys& keys,
                       const at::Tensor& rope_frequencies, int64_t head_dim) {
  const double theta = keys.real_or("rope.freq_base", 10000);
  config["rope_theta"] = theta;
  config["rope_scaling"] = rope_frequencies.defined()
                               ? llama3_scaling_from(rope_frequencies, theta, head_dim)
                               : rope_scaling_from(keys);
  const int64_t rotated = keys.size_or("rope.dimension_count", head_dim);
  if (rotated != head_dim)
    config["partial_rotary_factor"] = static_cast<double>(rotated) / static_cast<double>(head_dim);
}

}  // namespace

std::vector<GgufTensorRule> gguf_layout(const Family& family, const DecoderConfig& config) {
  GgufLayoutBuilder out;
  out.weight(std::string(family.embedding.gguf), base_part_name(family, family.embedding));
  if (family.position == PositionKind::kLearned)
    out.weight(std::string(family.position_table.gguf),
               base_part_name(family, family.position_table));
  for (int64_t layer = 0; layer < config.num_layers; ++layer) add_block(out, family, config, layer);
  const std::string norm(family.final_norm.gguf);
  if (family.norm == NormKind::kLayer)
    out.linear(norm, base_part_name(family, family.final_norm));
  else
    out.weight(norm, base_part_name(family, family.final_norm));
  out.weight(std::string(family.head.gguf), std::string(family.head.hugging_face), config.is_tied);
  return out.take();
}

at::Tensor from_gguf_order(const at::Tensor& tensor, const GgufTensorRule& rule) {
  const auto ordered =
      rule.permuted_heads > 0 ? separate_halves(tensor, rule.permuted_heads) : tensor;
  return rule.is_transposed ? ordered.t() : ordered;
}

at::Tensor to_gguf_order(const at::Tensor& tensor, const GgufTensorRule& rule) {
  const auto oriented = rule.is_transposed ? tensor.t() : tensor;
  return rule.permuted_heads > 0 ? interleave_halves(oriented, rule.permuted_heads) : oriented;
}

json config_from_gguf(const GgufMetadata& metadata,
                      const std::function<std::vector<int64_t>(std::string_view)>& shape_of,
                      const at::Tensor& rope_frequencies) {
  const Family& family = family_of(metadata);
  const ArchitectureKeys keys(metadata, family.gguf_architecture);
  const auto embedding = shape_of(std::string(family.embedding.gguf) + ".weight");
  if (embedding.size() != 2)
    throw DataError("GGUF tensor token_embd.weight is missing or not a matrix",
                    "the file is damaged");
  const int64_t hidden = keys.size("embedding_length"), heads = keys.size("attention.head_count");
  if (heads == 0) throw DataError("GGUF key attention.head_count is 0", "the file is damaged");
  const int64_t head_dim = keys.size_or("attention.key_length", hidden / heads);
  const bool is_rotary = family.position == PositionKind::kRotary;

  json config = {
      {"architectures", {family.hugging_face_class}},
      {"model_type", family.model_type},
      {"vocab_size", embedding[0]},
      {"torch_dtype", "float32"},
      {"tie_word_embeddings", shape_of(std::string(family.head.gguf) + ".weight").empty()},
      {family.keys.hidden_size, hidden},
      {family.keys.intermediate_size, keys.size("feed_forward_length")},
      {family.keys.num_layers, keys.size("block_count", 100000)},
      {family.keys.num_heads, heads},
      {family.keys.max_positions, keys.size("context_length")},
      {family.keys.activation, family.activation == Activation::kSilu ? "silu" : "gelu_new"},
      {family.keys.norm_eps,
       keys.real_or(family.norm == NormKind::kRms ? "attention.layer_norm_rms_epsilon"
                                                  : "attention.layer_norm_epsilon",
                    family.defaults.norm_eps)}};
  if (is_rotary) {
    config["num_key_value_heads"] = keys.size_or("attention.head_count_kv", heads);
    config["head_dim"] = head_dim;
    add_rotary_fields(config, keys, rope_frequencies, head_dim);
    const bool has_qkv_bias = !shape_of("blk.0.attn_q.bias").empty();
    if (family.qkv_bias == BiasRule::kByField) config["attention_bias"] = has_qkv_bias;
    if (keys.has("attention.sliding_window"))
      config["sliding_window"] = keys.size("attention.sliding_window");
  }
  for (const auto& [field, key] : {std::pair{"bos_token_id", "tokenizer.ggml.bos_token_id"},
                                   std::pair{"eos_token_id", "tokenizer.ggml.eos_token_id"}})
    if (metadata.has(key)) config[field] = metadata.integer(key);
  return config;
}

void add_model_metadata(const Family& family, const DecoderConfig& config, GgufMetadata& metadata) {
  const std::string architecture(family.gguf_architecture);
  const auto set = [&](const std::string& key, format::GgufValue value) {
    metadata.values[architecture + "." + key] = std::move(value);
  };
  const auto count = [](int64_t value) { return format::GgufValue(static_cast<uint64_t>(value)); };
  metadata.values["general.architecture"] = architecture;
  set("context_length", count(config.max_positions));
  set("embedding_length", count(config.hidden_size));
  set("block_count", count(config.num_layers));
  set("feed_forward_length", count(config.intermediate_size));
  set("attention.head_count", count(config.num_heads));
  set("vocab_size", count(config.vocab_size));
  set(family.norm == NormKind::kRms ? "attention.layer_norm_rms_epsilon"
                                    : "attention.layer_norm_epsilon",
      config.norm_eps);
  if (family.position != PositionKind::kRotary) return;
  set("attention.head_count_kv", count(config.num_kv_heads));
  set("attention.key_length", count(config.head_dim));
  set("attention.value_length", count(config.head_dim));
  set("rope.dimension_count",
      count(std::llround(static_cast<double>(config.head_dim) * config.rope_partial)));
  set("rope.freq_base", config.rope_theta);
  if (config.rope_linear_factor != 1) {
    set("rope.scaling.type", std::string("linear"));
    set("rope.scaling.factor", config.rope_linear_factor);
  }
  if (config.sliding_window) set("attention.sliding_window", count(*config.sliding_window));
}

at::Tensor llama3_frequency_divisors(const Llama3RopeScaling& scaling, double theta,
                                     int64_t head_dim) {
  const double original = static_cast<double>(scaling.original_max_position);
  const double low_wavelength = original / scaling.low_freq_factor,
               high_wavelength = original / scaling.high_freq_factor;
  auto divisors = at::empty({head_dim / 2}, at::kFloat);
  for (int64_t i = 0; i < head_dim / 2; ++i) {
    const double wavelength =
        2 * std::numbers::pi *
        std::pow(theta, 2.0 * static_cast<double>(i) / static_cast<double>(head_dim));
    double divisor = 1;
    if (wavelength > low_wavelength) {
      divisor = scaling.factor;
    } else if (wavelength >= high_wavelength) {
      const double smooth = (original / wavelength - scaling.low_freq_factor) /
                            (scaling.high_freq_factor - scaling.low_freq_factor);
      divisor = 1 / ((1 - smooth) / scaling.factor + smooth);
    }
    divisors[i] = divisor;
  }
  return divisors;
}

}  // namespace qtk::model
