// Recognises what people hand in by mistake, so that the message can say so instead of "bad
// header".
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace qtk::format {

struct ForeignFile {
  std::string kind;    // "a Git LFS pointer", or empty if nothing known matches
  std::string remedy;  // what to do about it
};

/// Looks at the first bytes of a file that is not what it should be.
ForeignFile recognise_foreign_file(std::span<const std::byte> bytes);

}  // namespace qtk::format
