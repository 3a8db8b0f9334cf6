// What a page or a figure holds, as text.
#pragma once

#include "report/html.hpp"

#include <cstddef>
#include <string_view>

namespace qtk::report {

inline bool holds(std::string_view page, std::string_view part) {
  return page.find(part) != page.npos;
}
inline bool holds(const Markup& figure, std::string_view part) { return holds(figure.str(), part); }

inline size_t count(std::string_view page, std::string_view part) {
  size_t found = 0;
  for (size_t at = page.find(part); at != page.npos; at = page.find(part, at + 1)) ++found;
  return found;
}
inline size_t count(const Markup& figure, std::string_view part) {
  return count(figure.str(), part);
}

}  // namespace qtk::report
