// A text on its way through the pre-tokenizers: one buffer and the parts of it that are words by
// now.
#pragma once

#include "text/pattern.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace qtk::text {

struct Pieces {
  std::string text;
  std::vector<Range>
      ranges;            // in order, not empty, not overlapping; what lies between them is dropped
  bool starts_document;  // text[0] is the first character of what encode() was given

  std::string_view view(const Range& range) const {
    return std::string_view(text).substr(range.begin, range.size());
  }
};

}  // namespace qtk::text
