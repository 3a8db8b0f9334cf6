#include "constant.hpp"

#include <csignal>

namespace {

class CrashesInConstructor final : public Constant {
 public:
  CrashesInConstructor() { ::raise(SIGFPE); }
};

}  // namespace

QTK_PLUGIN(Scheduler, CrashesInConstructor, qtk::NoOptions, .name = "crashes_in_constructor",
           .version = "1", .summary = "Bad")
