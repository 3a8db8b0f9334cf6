#include "text/split.hpp"

#include <algorithm>

namespace qtk::text {
namespace {

/// Appends [begin, end) or lengthens the last range to `end`.
void append(std::vector<Range>& ranges, const Range& part, bool joins_last) {
  if (joins_last && !ranges.empty()) {
    ranges.back().end = part.end;
  } else {
    ranges.push_back(part);
  }
}

}  // namespace

SplitBehavior read_split_behavior(const JsonField& field) {
  const std::string& name = field.text();
  if (name == "Isolated") return SplitBehavior::kIsolated;
  if (name == "Removed") return SplitBehavior::kRemoved;
  if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (name == "Contiguous") return SplitBehavior::kContiguous;
  field.fail("is `" + name +
             "`, expected Isolated, Removed, MergedWithPrevious, MergedWithNext or Contiguous");
}

Splitter::Splitter(Pattern pattern, SplitBehavior behavior, bool is_inverted)
    : pattern_(std::move(pattern)), behavior_(behavior), is_inverted_(is_inverted) {}

void Splitter::find_parts(std::string_view text, std::vector<Part>& parts) const {
  parts.clear();
  size_t behind = 0;
  Matches matches(pattern_, text);
  while (const auto match = matches.next()) {
    if (match->begin > behind) parts.push_back({{behind, match->begin}, is_inverted_});
    parts.push_back({*match, !is_inverted_});
    behind = match->end;
  }
  if (behind < text.size()) parts.push_back({{behind, text.size()}, is_inverted_});
}

void Splitter::split(Pieces& pieces) const {
  std::vector<Range> split;
  split.reserve(pieces.ranges.size() * 2);
  std::vector<Part> parts;
  std::vector<Range> joined;
  for (const Range& piece : pieces.ranges) {
    find_parts(pieces.view(piece), parts);
    // MergedWithNext is MergedWithPrevious read from the end; ranges are then lengthened at their
    // beginning.
    const bool is_backward = behavior_ == SplitBehavior::kMergedWithNext;
    if (is_backward) std::reverse(parts.begin(), parts.end());
    joined.clear();
    bool previous_is_match = false;
    for (const Part& part : parts) {
      bool joins_last = false;
      if (behavior_ == SplitBehavior::kContiguous) joins_last = part.is_match == previous_is_match;
      if (behavior_ == SplitBehavior::kMergedWithPrevious)
        joins_last = part.is_match && !previous_is_match;
      if (is_backward && part.is_match && !previous_is_match && !joined.empty()) {
        joined.back().begin = part.range.begin;
      } else if (!(behavior_ == SplitBehavior::kRemoved && part.is_match)) {
        append(joined, part.range, joins_last);
      }
      previous_is_match = part.is_match;
    }
    if (is_backward) std::reverse(joined.begin(), joined.end());
    for (const Range& range : joined) {
      if (range.size() > 0) split.push_back({piece.begin + range.begin, piece.begin + range.end});
    }
  }
  pieces.ranges = std::move(split);
}

}  // namespace qtk::text
