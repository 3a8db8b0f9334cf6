// How long something has taken, as a number and in messages.
#pragma once

#include <chrono>
#include <cstdio>
#include <string>

namespace qtk::dist {

inline double seconds_since(std::chrono::steady_clock::time_point since) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - since).count();
}

/// "2.5 s"
inline std::string seconds_text(double seconds) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.1f s", seconds);
  return text;
}

}  // namespace qtk::dist
