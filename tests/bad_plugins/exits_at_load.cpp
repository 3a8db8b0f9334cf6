#include "constant.hpp"

#include <unistd.h>

namespace {

[[maybe_unused]] const int kExited = (::_exit(0), 0);

}  // namespace

QTK_PLUGIN(Scheduler, Constant, qtk::NoOptions, .name = "exits_at_load", .version = "1",
           .summary = "Bad")
