// A value of a JSON file together with its place in it, so that every complaint names file and
// field.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qtk::text {

/// Parses `content` after checking its nesting depth. @throws DataError naming `file`, line and
/// column
nlohmann::json parse_json(std::string_view content, const std::string& file);

/// Points into the parsed document, which must outlive it. Every accessor throws DataError of the
/// form
/// "<file>: `<path>` <what is wrong>".
class JsonField {
 public:
  JsonField(const nlohmann::json& value, std::string file, std::string path = {});

  const nlohmann::json& value() const { return *value_; }
  const std::string& path() const { return path_; }

  /// A member of an object, which must exist.
  JsonField at(std::string_view key) const;
  /// Nothing if the member is missing or null.
  std::optional<JsonField> find(std::string_view key) const;
  /// Elements of an array.
  std::vector<JsonField> items() const;

  const std::string& text() const;
  bool flag() const;
  int64_t integer(int64_t least, int64_t most) const;
  bool flag_or(std::string_view key, bool missing) const;

  /// Unknown members are errors: they could change what the file means.
  void allow_keys(std::initializer_list<std::string_view> keys) const;
  /// The member "type", one of `known`.
  const std::string& type_among(std::initializer_list<std::string_view> known) const;

  [[noreturn]] void fail(const std::string& problem, const std::string& remedy = {}) const;

 private:
  const nlohmann::json* value_;
  std::string file_;
  std::string path_;
};

}  // namespace qtk::text
