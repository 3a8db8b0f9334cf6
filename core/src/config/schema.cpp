#include "config/schema.hpp"

#include "config/options.hpp"
#include "config/run_config.hpp"

#include <nlohmann/json.hpp>

#include <cmath>
#include <utility>

namespace qtk::config {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kDraft = "https://json-schema.org/draft/2020-12/schema";
constexpr const char* kCountPattern = "^[+-]?(0|[1-9][0-9]*)(K|M|G|T|Ki|Mi|Gi|Ti)$";
constexpr const char* kRealPattern =
    "^[+-]?[0-9]*\\.?[0-9]+([eE][+-]?[0-9]+)?(K|M|G|T|Ki|Mi|Gi|Ti)$";
constexpr const char* kDurationPattern = "^[+-]?[0-9]*\\.?[0-9]+(ms|s|min|h|d)$";

bool is_list(OptionType type) {
  return type == OptionType::kIntList || type == OptionType::kRealList ||
         type == OptionType::kTextList;
}

OptionType element_type(OptionType type) {
  if (type == OptionType::kIntList) return OptionType::kInt;
  if (type == OptionType::kRealList) return OptionType::kReal;
  if (type == OptionType::kTextList) return OptionType::kText;
  return type;
}

Json value_json(const OptionValue& value) {
  return std::visit([](const auto& held) { return Json(held); }, value);
}

Json number_json(double bound, OptionType type) {
  const bool is_integer = bound == std::floor(bound) && std::abs(bound) < 0x1p63;
  if (type == OptionType::kInt && is_integer) return static_cast<int64_t>(bound);
  return bound;
}

/// The other spellings of a number, which YAML takes for strings, and a reference to another value.
Json spellings(const OptionSpec& spec, OptionType type) {
  Json forms = Json::array();
  const auto add = [&](const char* pattern) {
    forms.push_back({{"type", "string"}, {"pattern", pattern}});
  };
  if (type == OptionType::kInt) add(kCountPattern);
  if (type == OptionType::kReal) add(kRealPattern);
  if ((type == OptionType::kInt || type == OptionType::kReal) && spec.unit == "s")
    add(kDurationPattern);
  add("\\$\\{.+\\}");
  return forms;
}

Json element_schema(const OptionSpec& spec) {
  const OptionType type = element_type(spec.type);
  Json schema;
  switch (type) {
    case OptionType::kBool:
      schema["type"] = "boolean";
      break;
    case OptionType::kInt:
      schema["type"] = "integer";
      break;
    case OptionType::kReal:
      schema["type"] = "number";
      break;
    default:
      schema["type"] = "string";
  }
  if (spec.lower) schema["minimum"] = number_json(*spec.lower, type);
  if (spec.upper) schema["maximum"] = number_json(*spec.upper, type);
  for (const OptionValue& choice : spec.choices) schema["enum"].push_back(value_json(choice));
  if (type == OptionType::kText && spec.choices.empty()) return schema;
  Json forms = spellings(spec, type);
  forms.insert(forms.begin(), schema);
  return {{"anyOf", forms}};
}

std::string description(const OptionSpec& spec) {
  std::string text = spec.doc;
  if (!spec.unit.empty()) text += " In " + spec.unit + ".";
  if (!spec.deprecated.empty()) text += " Deprecated: " + spec.deprecated + ".";
  return text;
}

Json option_schema(const OptionSpec& spec, bool takes_one) {
  Json schema = element_schema(spec);
  if (is_list(spec.type)) {
    Json list = {{"type", "array"}, {"items", schema}};
    schema = takes_one ? Json{{"anyOf", Json::array({schema, list})}} : list;
  }
  Json full = {{"description", description(spec)}};
  full.update(schema);
  if (!is_list(spec.type) || !takes_one) full["default"] = value_json(spec.default_value);
  if (!spec.deprecated.empty()) full["deprecated"] = true;
  return full;
}

Json strict_object(Json properties) {
  return {
      {"type", "object"}, {"properties", std::move(properties)}, {"additionalProperties", false}};
}

Json table_schema(const OptionTable& table) {
  Json properties = Json::object();
  for (const OptionSpec& spec : table.specs) properties[spec.name] = option_schema(spec, false);
  return strict_object(std::move(properties));
}

Json section_schema(const SectionTable& table, std::span<const PluginTable> plugins);

Json child_schema(const ChildSpec& child, std::span<const PluginTable> plugins) {
  Json schema = {{"description", child.doc}};
  if (child.shape == ChildSpec::Shape::kPluginOptions) {
    schema["type"] = "object";
  } else if (child.shape == ChildSpec::Shape::kSection) {
    schema.update(section_schema(child.table(), plugins));
  } else if (child.shape == ChildSpec::Shape::kMap) {
    schema["type"] = "object";
    schema["additionalProperties"] = section_schema(child.table(), plugins);
  } else {
    schema["type"] = "array";
    schema["items"] = section_schema(child.table(), plugins);
  }
  return schema;
}

/// "If `use` is this plugin, the options are these."
Json plugin_rules(const SectionTable& table, const ChildSpec& child,
                  std::span<const PluginTable> plugins) {
  Json rules = Json::array();
  if (child.shape != ChildSpec::Shape::kPluginOptions || !table.options.find("use")) return rules;
  for (const PluginTable& plugin : plugins) {
    if (plugin.kind != child.plugin_kind) continue;
    Json condition = {{"properties", {{"use", {{"const", plugin.id}}}}}, {"required", {"use"}}};
    Json consequence = {{"properties", {{child.name, table_schema(plugin.options)}}}};
    rules.push_back({{"if", std::move(condition)}, {"then", std::move(consequence)}});
  }
  return rules;
}

Json section_schema(const SectionTable& table, std::span<const PluginTable> plugins) {
  Json properties = Json::object();
  Json required = table.required;
  Json rules = Json::array();
  for (const OptionSpec& spec : table.options.specs)
    properties[spec.name] = option_schema(spec, table.takes_one(spec.name));
  for (const ChildSpec& child : table.children) {
    properties[child.name] = child_schema(child, plugins);
    if (child.is_required) required.push_back(child.name);
    for (Json& rule : plugin_rules(table, child, plugins)) rules.push_back(std::move(rule));
  }
  Json schema = strict_object(std::move(properties));
  if (!required.empty()) schema["required"] = std::move(required);
  if (!rules.empty()) schema["allOf"] = std::move(rules);
  return schema;
}

std::string print(const std::string& title, const Json& schema) {
  Json full = {{"$schema", kDraft}, {"title", title}};
  full.update(schema);
  return full.dump(2) + "\n";
}

}  // namespace

std::string options_schema(const OptionTable& table) {
  return print("options", table_schema(table));
}

std::string run_schema(std::span<const PluginTable> plugins) {
  Json schema = section_schema(section_table<RunConfig>(), plugins);
  const Json path = {{"type", "string"}};
  // Read before the sections are, so no table knows it.
  schema["properties"]["include"] = {
      {"description", "Files that this one is laid over, relative to it."},
      {"anyOf", Json::array({path, {{"type", "array"}, {"items", path}}})}};
  schema["properties"]["qtk"] = {{"description", "Version of this format."},
                                 {"const", kSchemaVersion}};
  return print("qtk run", schema);
}

}  // namespace qtk::config
