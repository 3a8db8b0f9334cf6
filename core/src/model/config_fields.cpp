#include "model/config_fields.hpp"

#include "base/atomic_file.hpp"

#include <qtk/runtime/error.hpp>

#include <nlohmann/json.hpp>

#include <cmath>

namespace qtk::model {
namespace {

constexpr int64_t kLargestConfig = int64_t{16} << 20;

std::string shortened(std::string text) {
  constexpr size_t kLongest = 60;
  if (text.size() > kLongest) text = text.substr(0, kLongest) + "...";
  return text;
}

std::string dumped(const nlohmann::json& value) {
  return shortened(value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

}  // namespace

ConfigFields ConfigFields::read(const std::filesystem::path& file) {
  const std::string text = read_text_file(file, kLargestConfig);
  nlohmann::json parsed;
  try {
    parsed = nlohmann::json::parse(text);
  } catch (const nlohmann::json::exception& error) {
    throw DataError(file.string() + " is not JSON: " + shortened(error.what()),
                    "fetch the model folder again");
  }
  return of(parsed, file);
}

ConfigFields ConfigFields::of(const nlohmann::json& object, const std::filesystem::path& file) {
  if (!object.is_object())
    throw DataError(file.string() + " holds " + dumped(object) + ", expected a JSON object",
                    "fetch the model folder again");
  return {file, "", std::make_shared<const nlohmann::json>(object)};
}

ConfigFields::ConfigFields(std::filesystem::path file, std::string prefix,
                           std::shared_ptr<const nlohmann::json> object)
    : file_(std::move(file)), prefix_(std::move(prefix)), object_(std::move(object)) {}

const nlohmann::json* ConfigFields::find(std::string_view field) const {
  const auto found = object_->find(field);
  return found == object_->end() || found->is_null() ? nullptr : &*found;
}

bool ConfigFields::has(std::string_view field) const { return find(field) != nullptr; }

bool ConfigFields::mentions(std::string_view field) const { return object_->contains(field); }

std::vector<std::string> ConfigFields::names() const {
  std::vector<std::string> names;
  for (const auto& [name, value] : object_->items())
    if (!value.is_null()) names.push_back(name);
  return names;
}

std::optional<int64_t> ConfigFields::integer(std::string_view field, IntegerRange range) const {
  const auto* value = find(field);
  if (!value) return std::nullopt;
  const bool fits =
      value->is_number_integer() &&
      (!value->is_number_unsigned() ||
       value->get<uint64_t>() <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max()));
  if (!fits || value->get<int64_t>() < range.min || value->get<int64_t>() > range.max)
    fail(field,
         "an integer in [" + std::to_string(range.min) + ", " + std::to_string(range.max) + "]");
  return value->get<int64_t>();
}

std::optional<double> ConfigFields::positive(std::string_view field) const {
  const auto* value = find(field);
  if (!value) return std::nullopt;
  if (!value->is_number() || !std::isfinite(value->get<double>()) || value->get<double>() <= 0)
    fail(field, "a number above 0");
  return value->get<double>();
}

std::optional<bool> ConfigFields::flag(std::string_view field) const {
  const auto* value = find(field);
  if (!value) return std::nullopt;
  if (!value->is_boolean()) fail(field, "true or false");
  return value->get<bool>();
}

std::optional<std::string> ConfigFields::text(std::string_view field) const {
  const auto* value = find(field);
  if (!value) return std::nullopt;
  if (!value->is_string()) fail(field, "a text");
  return value->get<std::string>();
}

std::optional<std::vector<std::string>> ConfigFields::texts(std::string_view field) const {
  const auto* value = find(field);
  if (!value) return std::nullopt;
  std::vector<std::string> texts;
  if (!value->is_array()) fail(field, "a list of texts");
  for (const auto& item : *value) {
    if (!item.is_string()) fail(field, "a list of texts");
    texts.push_back(item.get<std::string>());
  }
  return texts;
}

std::optional<ConfigFields> ConfigFields::object(std::string_view field) const {
  const auto* value = find(field);
  if (!value) return std::nullopt;
  if (!value->is_object()) fail(field, "an object");
  return ConfigFields(file_, prefix_ + std::string(field) + ".",
                      std::make_shared<nlohmann::json>(*value));
}

void ConfigFields::fail(std::string_view field, std::string_view expectation,
                        std::string remedy) const {
  const auto* value = find(field);
  const std::string found = value ? "is " + dumped(*value) : "is missing";
  throw DataError(file_.string() + ": '" + prefix_ + std::string(field) + "' " + found +
                      ", expected " + std::string(expectation),
                  std::move(remedy));
}

}  // namespace qtk::model
