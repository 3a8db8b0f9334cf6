// A pipe whose ends are closed when their owners go.
#pragma once

#include "base/descriptor.hpp"

namespace qtk {

struct Pipe {
  Descriptor read;   // does not block
  Descriptor write;  // above the numbers that a child's redirections write over
};

/// Both ends close on exec. @throws IoError
Pipe make_pipe();

}  // namespace qtk
