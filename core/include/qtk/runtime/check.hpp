// QTK_CHECK: a contract at run time. On failure it throws qtk::Error with the expression and the
// values given.
#pragma once

#include <qtk/runtime/error.hpp>

#include <sstream>

namespace qtk::detail {

template <class... Parts>
[[noreturn]] void check_failed(const char* file, int line, const char* expression,
                               const Parts&... parts) {
  std::ostringstream text;
  static_cast<void>((text << ... << parts));
  if constexpr (sizeof...(parts) > 0) text << " ";
  text << "[" << expression << " is false at " << file << ":" << line << "]";
  throw Error(text.str());
}

}  // namespace qtk::detail

/// QTK_CHECK(condition, parts...): parts are streamed into the message, so tensors' sizes and
/// numbers can be named.
#define QTK_CHECK(condition, ...)                                                                  \
  do {                                                                                             \
    if (!(condition)) [[unlikely]]                                                                 \
      ::qtk::detail::check_failed(__FILE_NAME__, __LINE__, #condition __VA_OPT__(, ) __VA_ARGS__); \
  } while (false)

/// As QTK_CHECK, for faults of our own that no input should reach; compiled out of release builds.
#ifdef NDEBUG
#define QTK_DCHECK(condition, ...) \
  do {                             \
  } while (false)
#else
#define QTK_DCHECK(...) QTK_CHECK(__VA_ARGS__)
#endif
