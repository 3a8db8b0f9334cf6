#include "model/window_config.hpp"

#include <algorithm>

namespace qtk::model {
namespace {

constexpr std::string_view kSliding = "sliding_attention";
constexpr int64_t kDefaultMaxWindowLayers = 28;  // Qwen2 and Qwen3 in transformers

std::optional<int64_t> window_field(const ConfigFields& fields, const Family& family) {
  const auto window = fields.integer("sliding_window", {1, std::numeric_limits<int64_t>::max()});
  const int64_t missing = family.defaults.sliding_window;
  if (!window && missing && !fields.mentions("sliding_window")) return missing;
  return window;
}

/// Per layer whether "layer_types" lets it slide; nothing if the field is absent.
std::optional<std::vector<bool>> read_layer_types(const ConfigFields& fields, int64_t num_layers) {
  const auto types = fields.texts("layer_types");
  if (!types) return std::nullopt;
  if (static_cast<int64_t>(types->size()) != num_layers)
    fields.fail("layer_types", "one entry for each of " + std::to_string(num_layers) + " layers");
  std::vector<bool> slides;
  for (const auto& type : *types) {
    if (type != kSliding && type != "full_attention")
      fields.fail("layer_types", "entries full_attention or sliding_attention, not " + type);
    slides.push_back(type == kSliding);
  }
  return slides;
}

std::vector<bool> layers_from(int64_t first_sliding, int64_t num_layers) {
  std::vector<bool> slides;
  for (int64_t layer = 0; layer < num_layers; ++layer) slides.push_back(layer >= first_sliding);
  return slides;
}

void read_switched(const ConfigFields& fields, const std::optional<std::vector<bool>>& layer_types,
                   DecoderConfig& config) {
  const bool is_on = fields.flag("use_sliding_window").value_or(false) && config.sliding_window;
  const int64_t first_sliding =
      fields.integer("max_window_layers", {0, std::numeric_limits<int32_t>::max()})
          .value_or(kDefaultMaxWindowLayers);
  if (!is_on) config.sliding_window.reset();
  if (is_on)
    config.layer_slides = layer_types.value_or(layers_from(first_sliding, config.num_layers));
  if (!is_on && layer_types && std::ranges::count(*layer_types, true) > 0)
    fields.fail("layer_types",
                "no sliding_attention without use_sliding_window and sliding_window");
}

}  // namespace

void read_windows(const ConfigFields& fields, const Family& family, DecoderConfig& config) {
  const auto layer_types = read_layer_types(fields, config.num_layers);
  if (family.window != WindowRule::kNever) config.sliding_window = window_field(fields, family);
  if (family.window == WindowRule::kBySwitch) return read_switched(fields, layer_types, config);
  // One answer for all layers; transformers does not read layer_types here, so it may only agree.
  const bool slides = config.sliding_window.has_value();
  if (layer_types && std::ranges::count(*layer_types, !slides) > 0)
    fields.fail("layer_types", std::string(slides ? kSliding : "full_attention") +
                                   " in every layer of model_type " +
                                   std::string(family.model_type));
}

}  // namespace qtk::model
