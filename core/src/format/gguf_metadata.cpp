#include "format/gguf_metadata.hpp"

#include "base/nearest_name.hpp"

#include <qtk/runtime/error.hpp>

#include <limits>
#include <type_traits>

namespace qtk::format {
namespace {

std::string quoted(std::string_view key) { return "the GGUF key '" + std::string(key) + "'"; }

const char* type_name(const GgufValue& value) {
  static constexpr const char* kNames[] = {
      "a truth value",          "a whole number",     "a whole number",    "a real number",  "text",
      "a list of truth values", "a list of integers", "a list of numbers", "a list of texts"};
  static_assert(std::size(kNames) == std::variant_size_v<GgufValue>);
  return kNames[value.index()];
}

[[noreturn]] void refuse_type(std::string_view key, const GgufValue& value, const char* expected) {
  throw DataError(quoted(key) + " is " + type_name(value) + ", expected " + expected,
                  "convert the model again with a current converter");
}

const GgufValue& find(const GgufMetadata& metadata, std::string_view key) {
  const auto found = metadata.values.find(key);
  if (found != metadata.values.end()) return found->second;
  std::vector<std::string> keys;
  for (const auto& [name, value] : metadata.values) keys.push_back(name);
  const auto nearest = nearest_name(key, keys);
  throw DataError(
      quoted(key) + " is missing" + (nearest.empty() ? "" : "; the file has '" + nearest + "'"),
      "convert the model again with a current converter");
}

template <class T>
const T& expect(const GgufMetadata& metadata, std::string_view key, const char* expected) {
  const GgufValue& value = find(metadata, key);
  if (const T* typed = std::get_if<T>(&value)) return *typed;
  refuse_type(key, value, expected);
}

}  // namespace

int64_t GgufMetadata::integer(std::string_view key) const {
  const GgufValue& value = find(*this, key);
  if (const auto* signed_value = std::get_if<int64_t>(&value)) return *signed_value;
  const auto* unsigned_value = std::get_if<uint64_t>(&value);
  if (unsigned_value == nullptr) refuse_type(key, value, "a whole number");
  if (*unsigned_value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
    throw DataError(
        quoted(key) + " is " + std::to_string(*unsigned_value) + ", expected at most 2^63 - 1",
        "convert the model again with a current converter");
  return static_cast<int64_t>(*unsigned_value);
}

double GgufMetadata::real(std::string_view key) const {
  const GgufValue& value = find(*this, key);
  if (const auto* number = std::get_if<double>(&value)) return *number;
  if (const auto* number = std::get_if<int64_t>(&value)) return static_cast<double>(*number);
  if (const auto* number = std::get_if<uint64_t>(&value)) return static_cast<double>(*number);
  refuse_type(key, value, "a number");
}

const std::string& GgufMetadata::text(std::string_view key) const {
  return expect<std::string>(*this, key, "text");
}

const std::vector<std::string>& GgufMetadata::texts(std::string_view key) const {
  return expect<std::vector<std::string>>(*this, key, "a list of texts");
}

std::vector<int64_t> GgufMetadata::integers(std::string_view key) const {
  return expect<std::vector<int64_t>>(*this, key, "a list of integers");
}

std::vector<double> GgufMetadata::reals(std::string_view key) const {
  const GgufValue& value = find(*this, key);
  if (const auto* numbers = std::get_if<std::vector<int64_t>>(&value))
    return {numbers->begin(), numbers->end()};
  return expect<std::vector<double>>(*this, key, "a list of numbers");
}

int64_t GgufMetadata::integer_or(std::string_view key, int64_t missing) const {
  return has(key) ? integer(key) : missing;
}

double GgufMetadata::real_or(std::string_view key, double missing) const {
  return has(key) ? real(key) : missing;
}

bool GgufMetadata::flag_or(std::string_view key, bool missing) const {
  return has(key) ? expect<bool>(*this, key, "a truth value") : missing;
}

}  // namespace qtk::format
