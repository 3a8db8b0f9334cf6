#include "model/decoder_config.hpp"

#include "base/nearest_name.hpp"
#include "model/config_fields.hpp"
#include "model/family.hpp"
#include "model/rope_config.hpp"
#include "model/window_config.hpp"

#include <qtk/runtime/error.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>

namespace qtk::model {
namespace {

constexpr int64_t kMaxSize = 1 << 24;  // of one dimension: products of three stay below 2^63 bytes
constexpr int64_t kMaxLayers = 10000;

const Family& family_of(const ConfigFields& fields) {
  const auto model_type = fields.text("model_type");
  const Family* family = model_type ? find_family(*model_type) : nullptr;
  if (!family)
    fields.fail("model_type", "one of " + known_families(),
                "use a model of one of these families, or add a row to the family table");
  return *family;
}

/// A family's own spelling of a field, or the common one.
std::optional<int64_t> size_field(const ConfigFields& fields, std::string_view own,
                                  std::string_view common, int64_t max = kMaxSize) {
  const auto value = fields.integer(own, {1, max});
  const auto alias = fields.integer(common, {1, max});
  if (value && alias && *value != *alias)
    fields.fail(own, "the value of '" + std::string(common) + "', " + std::to_string(*alias));
  return value ? value : alias;
}

void read_sizes(const ConfigFields& fields, const Family& family, DecoderConfig& config) {
  const ConfigKeys& keys = family.keys;
  const ConfigKeys common;
  const ConfigDefaults& defaults = family.defaults;
  const auto size = [&](std::string_view ConfigKeys::*key, int64_t missing,
                        int64_t max = kMaxSize) {
    return size_field(fields, keys.*key, common.*key, max).value_or(missing);
  };
  config.vocab_size = fields.integer("vocab_size", {1, kMaxSize}).value_or(defaults.vocab_size);
  config.hidden_size = size(&ConfigKeys::hidden_size, defaults.hidden_size);
  config.intermediate_size =
      size(&ConfigKeys::intermediate_size,
           defaults.intermediate_size ? defaults.intermediate_size : 4 * config.hidden_size);
  config.num_layers = size(&ConfigKeys::num_layers, defaults.num_layers, kMaxLayers);
  config.num_heads = size(&ConfigKeys::num_heads, defaults.num_heads);
  config.max_positions = size(&ConfigKeys::max_positions, defaults.max_positions, int64_t{1} << 31);
  config.norm_eps = fields.positive(keys.norm_eps).value_or(defaults.norm_eps);
}

void read_heads(const ConfigFields& fields, const Family& family, DecoderConfig& config) {
  const ConfigDefaults& defaults = family.defaults;
  // A null means "as many as heads"; only an absent field takes the family's own default.
  const bool is_absent = !fields.mentions("num_key_value_heads");
  const int64_t missing =
      defaults.num_kv_heads && is_absent ? defaults.num_kv_heads : config.num_heads;
  config.num_kv_heads = fields.integer("num_key_value_heads", {1, kMaxSize}).value_or(missing);
  if (config.num_heads % config.num_kv_heads != 0)
    fields.fail("num_key_value_heads", "a divisor of " + std::string(family.keys.num_heads) + " " +
                                           std::to_string(config.num_heads));
  const auto head_dim = fields.integer("head_dim", {1, kMaxSize});
  if (!head_dim && !defaults.head_dim && config.hidden_size % config.num_heads != 0)
    fields.fail(family.keys.hidden_size, "a multiple of " + std::string(family.keys.num_heads) +
                                             " " + std::to_string(config.num_heads) +
                                             " where head_dim is not given");
  config.head_dim = head_dim.value_or(defaults.head_dim ? defaults.head_dim
                                                        : config.hidden_size / config.num_heads);
}

bool has_bias(BiasRule rule, std::string_view field, const ConfigFields& fields) {
  return rule == BiasRule::kAlways ||
         (rule == BiasRule::kByField && fields.flag(field).value_or(false));
}

/// The families that ignore "attention_bias" or "mlp_bias" have one fixed answer; another one is a
/// mistake.
void check_bias_field(std::string_view field, BiasRule rule, const ConfigFields& fields,
                      const Family& family) {
  const auto given = fields.flag(field);
  if (!given || rule == BiasRule::kByField || *given == (rule == BiasRule::kAlways)) return;
  fields.fail(field, std::string(*given ? "false" : "true") + " for model_type " +
                         std::string(family.model_type));
}

void read_biases(const ConfigFields& fields, const Family& family, DecoderConfig& config) {
  check_bias_field("attention_bias", family.qkv_bias, fields, family);
  check_bias_field("mlp_bias", family.mlp_bias, fields, family);
  config.has_qkv_bias = has_bias(family.qkv_bias, "attention_bias", fields);
  config.has_out_bias = has_bias(family.out_bias, "attention_bias", fields);
  config.has_mlp_bias = has_bias(family.mlp_bias, "mlp_bias", fields);
}

void check_activation(const ConfigFields& fields, const Family& family) {
  static const std::vector<std::string> silu = {"silu", "swish"};
  static const std::vector<std::string> gelu_tanh = {"gelu_new", "gelu_pytorch_tanh"};
  const auto& names = family.activation == Activation::kSilu ? silu : gelu_tanh;
  const auto given = fields.text(family.keys.activation);
  if (given && std::ranges::count(names, *given) == 0)
    fields.fail(family.keys.activation,
                join(names, " or ") + " for model_type " + std::string(family.model_type));
}

void check_required_flags(const ConfigFields& fields, const Family& family) {
  for (const auto& required : family.required_flags) {
    const auto given = fields.flag(required.field);
    if (given && *given != required.value)
      fields.fail(required.field, std::string(required.value ? "true" : "false") +
                                      "; the other computation is not supported");
  }
}

void read_dtype(const ConfigFields& fields, DecoderConfig& config) {
  static const std::vector<std::pair<std::string_view, c10::ScalarType>> known = {
      {"float32", at::kFloat},
      {"float64", at::kDouble},
      {"float16", at::kHalf},
      {"bfloat16", at::kBFloat16}};
  const std::string_view field = fields.has("dtype") ? "dtype" : "torch_dtype";
  const auto name = fields.text(field);
  if (!name || *name == "auto") return;
  constexpr std::string_view kPrefix = "torch.";
  std::string_view bare = *name;
  if (bare.starts_with(kPrefix)) bare.remove_prefix(kPrefix.size());
  const auto found =
      std::ranges::find(known, bare, &std::pair<std::string_view, c10::ScalarType>::first);
  if (found == known.end()) fields.fail(field, "float32, float64, float16 or bfloat16");
  config.dtype = found->second;
}

DecoderConfig config_of(const ConfigFields& fields) {
  const Family& family = family_of(fields);
  DecoderConfig config;
  config.model_type = family.model_type;
  read_sizes(fields, family, config);
  read_heads(fields, family, config);
  read_biases(fields, family, config);
  check_activation(fields, family);
  check_required_flags(fields, family);
  read_rope(fields, family, config);
  read_windows(fields, family, config);
  read_dtype(fields, config);
  config.is_tied = fields.flag("tie_word_embeddings").value_or(family.defaults.is_tied);
  if (const auto quantization = fields.object("quantization_config"))
    config.quantization_method = quantization->text("quant_method").value_or("unnamed");
  return config;
}

}  // namespace

std::optional<int64_t> DecoderConfig::window_of(int64_t layer) const {
  const bool slides = layer_slides.empty() || layer_slides.at(static_cast<size_t>(layer));
  return slides ? sliding_window : std::nullopt;
}

DecoderConfig read_decoder_config(const std::filesystem::path& folder) {
  return config_of(ConfigFields::read(folder / "config.json"));
}

DecoderConfig read_decoder_config(const nlohmann::json& content,
                                  const std::filesystem::path& file) {
  return config_of(ConfigFields::of(content, file));
}

}  // namespace qtk::model
