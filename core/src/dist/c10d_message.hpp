// What c10d says when something fails.
#pragma once

#include <exception>
#include <string>

namespace qtk::dist {

/// Without the stack trace that follows.
inline std::string first_line(const std::exception& error) {
  const std::string all = error.what();
  return all.substr(0, all.find('\n'));
}

}  // namespace qtk::dist
