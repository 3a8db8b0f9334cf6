#include "constant.hpp"

#include <csignal>

namespace {

const int kCrashed = ::raise(SIGSEGV);

}  // namespace

QTK_PLUGIN(Scheduler, Constant, qtk::NoOptions, .name = "crashes_at_load", .version = "1",
           .summary = "Bad")
