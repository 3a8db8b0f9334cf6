#include "base/pipe.hpp"

#include <qtk/runtime/error.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

namespace qtk {

Pipe make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0)
    throw IoError("cannot make a pipe: " + std::string(std::strerror(errno)));
  Descriptor read(ends[0]), low(ends[1]);
  Descriptor write(::fcntl(low.get(), F_DUPFD_CLOEXEC, 10));
  if (write.get() < 0 || ::fcntl(read.get(), F_SETFL, O_NONBLOCK) != 0)
    throw IoError("cannot make a pipe: " + std::string(std::strerror(errno)));
  return {std::move(read), std::move(write)};
}

}  // namespace qtk
