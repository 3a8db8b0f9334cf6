// One section of an ELF file by name, for files that nobody vouches for.
#pragma once

#include "plugin/manifest.hpp"

#include <stdexcept>
#include <string>
#include <string_view>

namespace qtk::plugin {

/// What is wrong with a file, as the end of a sentence that begins with its name.
class ElfProblem : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Content of a section of a 64-bit little-endian x86-64 shared library.
/// @throws ElfProblem if there is none, the file is another kind of file or damaged, or it exceeds
/// `limit_bytes`
std::string elf_section(const ByteSource& source, std::string_view name, uint64_t limit_bytes);

}  // namespace qtk::plugin
