// JSON out of files that nobody vouches for: bounded before it is parsed, and without repeated
// keys.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstddef>
#include <string>
#include <string_view>

namespace qtk::format {

/// Bounds on the text. A parser's memory follows from them: roughly `separators` nodes plus the
/// text.
struct JsonLimits {
  int depth = 64;                  // of nested objects and arrays
  size_t string_bytes = 16 << 20;  // of one string
  size_t separators =
      size_t{1} << 20;  // of `,` and `:` together, so at most as many values and keys
};

/// One pass that allocates nothing. @throws DataError "<where> ..." if a bound is exceeded
void check_json_limits(std::string_view text, const std::string& where, const JsonLimits& limits);

/// Parses one document. @param where names it in messages
/// @throws DataError if it exceeds the limits, is not JSON or repeats a key within an object
nlohmann::json parse_strict_json(std::string_view text, const std::string& where,
                                 const JsonLimits& limits = {});

/// The parser's sentence without its own prefix, cut to a length fit for a message.
std::string json_fault(const char* what);

}  // namespace qtk::format
