#include "model/rope_config.hpp"

#include <algorithm>

namespace qtk::model {
namespace {

constexpr const char* kUnsupportedRope =
    "qtk knows the rope types default, linear and llama3; use a model with one of them";

struct RopeType {
  std::string_view name;
  std::vector<std::string> own_fields;
};

const std::vector<RopeType>& rope_types() {
  static const std::vector<RopeType> types = {
      {"default", {}},
      {"linear", {"factor"}},
      {"llama3", {"factor", "low_freq_factor", "high_freq_factor"}},
  };
  return types;
}

/// Both spellings name the same object; two of them could disagree.
std::optional<ConfigFields> rope_object(const ConfigFields& fields) {
  auto scaling = fields.object("rope_scaling");
  auto parameters = fields.object("rope_parameters");
  const bool has_scaling = scaling && !scaling->names().empty();
  if (has_scaling && parameters && !parameters->names().empty())
    fields.fail("rope_scaling", "no such field beside 'rope_parameters'", "keep one of the two");
  return has_scaling ? scaling : parameters;
}

const RopeType& type_of(const ConfigFields& rope, const Family& family) {
  const std::string_view field = rope.has("rope_type") ? "rope_type" : "type";
  const std::string name = rope.text(field).value_or("default");
  const auto known = std::ranges::find(rope_types(), std::string_view(name), &RopeType::name);
  if (known == rope_types().end()) rope.fail(field, "default, linear or llama3", kUnsupportedRope);
  if (name != "default" && !family.allows_rope_scaling)
    rope.fail(field, "default for model_type " + std::string(family.model_type), kUnsupportedRope);
  return *known;
}

void refuse_foreign_fields(const ConfigFields& rope, const RopeType& type) {
  static const std::vector<std::string> common = {"rope_type", "type", "rope_theta",
                                                  "partial_rotary_factor",
                                                  "original_max_position_embeddings"};
  for (const auto& name : rope.names())
    if (std::ranges::count(common, name) == 0 && std::ranges::count(type.own_fields, name) == 0)
      rope.fail(name, "no such field for rope type " + std::string(type.name), kUnsupportedRope);
}

double required(const ConfigFields& rope, std::string_view field) {
  const auto value = rope.positive(field);
  if (!value) rope.fail(field, "a number above 0");
  return *value;
}

Llama3RopeScaling read_llama3(const ConfigFields& rope, int64_t max_positions) {
  Llama3RopeScaling scaling;
  scaling.factor = required(rope, "factor");
  scaling.low_freq_factor = required(rope, "low_freq_factor");
  scaling.high_freq_factor = required(rope, "high_freq_factor");
  scaling.original_max_position =
      rope.integer("original_max_position_embeddings").value_or(max_positions);
  if (scaling.high_freq_factor <= scaling.low_freq_factor)
    rope.fail("high_freq_factor", "more than low_freq_factor");
  return scaling;
}

void read_scaling(const ConfigFields& rope, const Family& family, DecoderConfig& config) {
  const RopeType& type = type_of(rope, family);
  refuse_foreign_fields(rope, type);
  if (type.name == "linear") config.rope_linear_factor = required(rope, "factor");
  if (type.name == "llama3") config.llama3_rope = read_llama3(rope, config.max_positions);
}

void check_partial(const ConfigFields& where, const Family& family, const DecoderConfig& config) {
  constexpr std::string_view kField = "partial_rotary_factor";
  if (config.rope_partial != 1 && !family.allows_partial_rotary)
    where.fail(kField, "1 for model_type " + std::string(family.model_type));
  if (config.rope_partial > 1) where.fail(kField, "at most 1");
  if (config.rotary_dim() < 2 || config.rotary_dim() % 2 != 0)
    where.fail(kField, "a share of head_dim " + std::to_string(config.head_dim) +
                           " that makes an even number of rotated features");
}

}  // namespace

void read_rope(const ConfigFields& fields, const Family& family, DecoderConfig& config) {
  if (family.position != PositionKind::kRotary) return;
  const auto rope = rope_object(fields);
  config.rope_theta = fields.positive("rope_theta").value_or(config.rope_theta);
  config.rope_partial = fields.positive("partial_rotary_factor").value_or(config.rope_partial);
  const bool is_partial_inside = rope && rope->has("partial_rotary_factor");
  if (rope) {
    config.rope_theta = rope->positive("rope_theta").value_or(config.rope_theta);
    config.rope_partial = rope->positive("partial_rotary_factor").value_or(config.rope_partial);
    read_scaling(*rope, family, config);
  }
  check_partial(is_partial_inside ? *rope : fields, family, config);
}

}  // namespace qtk::model
