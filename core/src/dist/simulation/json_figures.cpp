#include "dist/simulation/json_figures.hpp"

#include <qtk/runtime/error.hpp>

#include <nlohmann/json.hpp>

#include <cmath>

namespace qtk::dist {
namespace {

constexpr const char* kRemedy = "the file was damaged, or made by another version of qtk";

}  // namespace

JsonFigures::JsonFigures(const nlohmann::json& object, std::string where)
    : object_(object), where_(std::move(where)) {
  if (!object.is_object()) throw DataError(where_ + " is no JSON object", kRemedy);
}

const nlohmann::json* JsonFigures::find(std::string_view field) const {
  const auto found = object_.find(field);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

double JsonFigures::amount(std::string_view field) const {
  const nlohmann::json* value = find(field);
  if (!value || !value->is_number() || !std::isfinite(value->get<double>()) ||
      value->get<double>() < 0)
    throw DataError(where_ + ": '" + std::string(field) + "' is " +
                        (value ? value->dump().substr(0, 60) : "missing") +
                        ", expected a number of 0 or more",
                    kRemedy);
  return value->get<double>();
}

double JsonFigures::amount_or(std::string_view field, double absent) const {
  return find(field) ? amount(field) : absent;
}

std::string JsonFigures::text_or(std::string_view field, std::string_view absent) const {
  const nlohmann::json* value = find(field);
  if (!value) return std::string(absent);
  if (!value->is_string())
    throw DataError(where_ + ": '" + std::string(field) + "' is " + value->dump().substr(0, 60) +
                        ", expected a text",
                    kRemedy);
  return value->get<std::string>();
}

}  // namespace qtk::dist
