// Figures out of a JSON object that a measurement wrote; errors name the file and the field.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <string_view>

namespace qtk::dist {

class JsonFigures {
 public:
  /// @param object  outlives this; @param where  names it in messages. @throws DataError if it is
  /// no object
  JsonFigures(const nlohmann::json& object, std::string where);

  /// A finite number that is not negative. @throws DataError
  double amount(std::string_view field) const;
  /// With a default for an absent or null field.
  double amount_or(std::string_view field, double absent) const;
  std::string text_or(std::string_view field, std::string_view absent) const;

 private:
  const nlohmann::json* find(std::string_view field) const;

  const nlohmann::json& object_;
  std::string where_;
};

}  // namespace qtk::dist
