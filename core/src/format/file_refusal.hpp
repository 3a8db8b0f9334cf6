// A file that does not hold what its format demands.
#pragma once

#include <qtk/runtime/error.hpp>

#include <filesystem>
#include <string>
#include <utility>

namespace qtk::format {

/// @throws DataError naming the file, always
[[noreturn]] inline void refuse_file(const std::filesystem::path& path, const std::string& what,
                                     std::string remedy = "fetch the file again") {
  throw DataError(path.string() + ": " + what, std::move(remedy));
}

}  // namespace qtk::format
