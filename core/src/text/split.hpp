// Cutting a text at the matches of a pattern, with the choices of Hugging Face's `tokenizers` for
// what becomes of a match.
#pragma once

#include "text/pattern.hpp"
#include "text/pieces.hpp"

#include <string_view>
#include <vector>

namespace qtk::text {

enum class SplitBehavior {
  kIsolated,            // a piece of its own
  kRemoved,             // dropped
  kMergedWithPrevious,  // joins the text before it
  kMergedWithNext,      // joins the text behind it
  kContiguous,          // a piece together with the matches that touch it
};

/// "Isolated", "Removed", ... as in tokenizer.json. @throws DataError naming the field
SplitBehavior read_split_behavior(const JsonField& field);

class Splitter {
 public:
  /// @param is_inverted  what lies between the matches counts as the match
  Splitter(Pattern pattern, SplitBehavior behavior, bool is_inverted = false);

  /// Replaces every range of `pieces` by its parts.
  void split(Pieces& pieces) const;

 private:
  struct Part {
    Range range;
    bool is_match;
  };
  void find_parts(std::string_view text, std::vector<Part>& parts) const;

  Pattern pattern_;
  SplitBehavior behavior_;
  bool is_inverted_;
};

}  // namespace qtk::text
