// Files that a reader must refuse, and what it must say about them.
#pragma once

#include "format_fixtures.hpp"

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace qtk::format {

struct BadFile {
  const char* name;
  std::string bytes;
  const char* message;
};

/// @param open  reads the file at the path that it is given; every message must name the file
inline void expect_refused(const std::vector<BadFile>& cases, const std::string& file_name,
                           const std::function<void(const std::filesystem::path&)>& open) {
  TemporaryFolder scratch;
  for (const BadFile& bad : cases) {
    SCOPED_TRACE(bad.name);
    const auto path = write_bytes(scratch / file_name, bad.bytes);
    const auto message = message_of([&] { open(path); });
    expect_contains(message, bad.message);
    expect_contains(message, file_name);
  }
}

}  // namespace qtk::format
