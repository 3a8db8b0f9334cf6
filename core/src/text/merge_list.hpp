// Merges as files list them: pairs of tokens, the most important first.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qtk::text {

using MergeList = std::vector<std::pair<std::string, std::string>>;

/// The two tokens of "left right"; nothing unless there is exactly one space, between them.
inline std::optional<std::pair<std::string_view, std::string_view>> split_merge(
    std::string_view line) {
  const size_t space = line.find(' ');
  if (space == 0 || space == line.npos || space + 1 == line.size()) return std::nullopt;
  if (line.find(' ', space + 1) != line.npos) return std::nullopt;
  return std::pair(line.substr(0, space), line.substr(space + 1));
}

}  // namespace qtk::text
