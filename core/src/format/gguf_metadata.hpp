// Key-value metadata of a GGUF file (github.com/ggml-org/ggml, docs/gguf.md).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace qtk::format {

/// Integers of every width are widened to 64 bits on reading; writers choose the width that other
/// readers expect.
using GgufValue = std::variant<bool, int64_t, uint64_t, double, std::string, std::vector<bool>,
                               std::vector<int64_t>, std::vector<double>, std::vector<std::string>>;

class GgufMetadata {
 public:
  std::map<std::string, GgufValue, std::less<>> values;

  bool has(std::string_view key) const { return values.find(key) != values.end(); }
  /// @throws DataError naming the key if it is missing or of another type; integers convert between
  /// signs if they fit, and to double
  int64_t integer(std::string_view key) const;
  double real(std::string_view key) const;
  const std::string& text(std::string_view key) const;
  const std::vector<std::string>& texts(std::string_view key) const;
  std::vector<int64_t> integers(std::string_view key) const;
  std::vector<double> reals(std::string_view key) const;
  /// With a default for a missing key; a key of the wrong type still throws.
  int64_t integer_or(std::string_view key, int64_t missing) const;
  double real_or(std::string_view key, double missing) const;
  bool flag_or(std::string_view key, bool missing) const;
};

}  // namespace qtk::format
