// "Did you mean ...?": the known name closest to a misspelt one.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace qtk {

/// The candidate with the smallest edit distance (insert, delete, replace, swap of neighbours), or
/// "" if none is within a third of the name's length (at least 2).
std::string nearest_name(std::string_view name, std::span<const std::string> candidates);

/// "a, b, c"
std::string join(std::span<const std::string> parts, std::string_view separator = ", ");

}  // namespace qtk
