#include "constant.hpp"

#include <unistd.h>

namespace {

const int kNever = [] {
  for (;;) ::pause();
  return 0;
}();

}  // namespace

QTK_PLUGIN(Scheduler, Constant, qtk::NoOptions, .name = "loops_at_load", .version = "1",
           .summary = "Bad")
