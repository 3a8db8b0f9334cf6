#include "format/gguf_metadata.hpp"

#include <qtk/runtime/error.hpp>

#include <limits>

namespace qtk::format {
namespace {

const GgufValue& value_of(const GgufMetadata& metadata, std::string_view key) {
  const auto found = metadata.values.find(key);
  if (found == metadata.values.end())
    throw DataError("the GGUF metadata has no key `" + std::string(key) + "`",
                    "fetch the file again");
  return found->second;
}

[[noreturn]] void wrong_type(std::string_view key, const char* expected) {
  throw DataError("the GGUF metadata key `" + std::string(key) + "` is not " + expected,
                  "fetch the file again");
}

}  // namespace

int64_t GgufMetadata::integer(std::string_view key) const {
  const GgufValue& value = value_of(*this, key);
  if (const auto* number = std::get_if<int64_t>(&value)) return *number;
  const auto* number = std::get_if<uint64_t>(&value);
  if (!number || *number > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
    wrong_type(key, "an integer");
  return static_cast<int64_t>(*number);
}

double GgufMetadata::real(std::string_view key) const {
  if (const auto* number = std::get_if<double>(&value_of(*this, key))) return *number;
  return static_cast<double>(integer(key));
}

const std::string& GgufMetadata::text(std::string_view key) const {
  const auto* text = std::get_if<std::string>(&value_of(*this, key));
  if (!text) wrong_type(key, "a string");
  return *text;
}

const std::vector<std::string>& GgufMetadata::texts(std::string_view key) const {
  const auto* texts = std::get_if<std::vector<std::string>>(&value_of(*this, key));
  if (!texts) wrong_type(key, "an array of strings");
  return *texts;
}

std::vector<int64_t> GgufMetadata::integers(std::string_view key) const {
  const auto* numbers = std::get_if<std::vector<int64_t>>(&value_of(*this, key));
  if (!numbers) wrong_type(key, "an array of integers");
  return *numbers;
}

std::vector<double> GgufMetadata::reals(std::string_view key) const {
  const GgufValue& value = value_of(*this, key);
  if (const auto* numbers = std::get_if<std::vector<double>>(&value)) return *numbers;
  const auto numbers = integers(key);
  return {numbers.begin(), numbers.end()};
}

int64_t GgufMetadata::integer_or(std::string_view key, int64_t missing) const {
  return has(key) ? integer(key) : missing;
}

double GgufMetadata::real_or(std::string_view key, double missing) const {
  return has(key) ? real(key) : missing;
}

bool GgufMetadata::flag_or(std::string_view key, bool missing) const {
  if (!has(key)) return missing;
  const auto* flag = std::get_if<bool>(&value_of(*this, key));
  if (!flag) wrong_type(key, "a flag");
  return *flag;
}

}  // namespace qtk::format
