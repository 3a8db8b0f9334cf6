// Typed access to the fields of a JSON object. Every error names the file, the field, what it holds
// and what was expected. A null reads as nothing; mentions() tells it from an absent field, where
// transformers does so too.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qtk::model {

struct IntegerRange {
  int64_t min = 1;
  int64_t max = std::numeric_limits<int32_t>::max();
};

class ConfigFields {
 public:
  /// @throws DataError if the file is missing, not JSON or not an object
  static ConfigFields read(const std::filesystem::path& file);

  /// Of an object that was made elsewhere; `file` is what errors name. @throws DataError if it is
  /// none
  static ConfigFields of(const nlohmann::json& object, const std::filesystem::path& file);

  /// Present and not null.
  bool has(std::string_view field) const;
  /// Present, be it as null.
  bool mentions(std::string_view field) const;
  /// Names of the fields that are not null, sorted.
  std::vector<std::string> names() const;

  std::optional<int64_t> integer(std::string_view field, IntegerRange range = {}) const;
  /// Finite and above zero.
  std::optional<double> positive(std::string_view field) const;
  std::optional<bool> flag(std::string_view field) const;
  std::optional<std::string> text(std::string_view field) const;
  std::optional<std::vector<std::string>> texts(std::string_view field) const;
  std::optional<ConfigFields> object(std::string_view field) const;

  /// "<file>: '<field>' is <value>, expected <expectation>"
  [[noreturn]] void fail(std::string_view field, std::string_view expectation,
                         std::string remedy = {}) const;
  const std::filesystem::path& file() const { return file_; }

 private:
  ConfigFields(std::filesystem::path file, std::string prefix,
               std::shared_ptr<const nlohmann::json> object);
  const nlohmann::json* find(std::string_view field) const;

  std::filesystem::path file_;
  std::string prefix_;  // "rope_parameters." inside of an object
  std::shared_ptr<const nlohmann::json> object_;
};

}  // namespace qtk::model
