#include "constant.hpp"

namespace {

const int kThrown = []() -> int { throw std::runtime_error("thrown before main"); }();

}  // namespace

QTK_PLUGIN(Scheduler, Constant, qtk::NoOptions, .name = "throws_in_initialiser", .version = "1",
           .summary = "Bad")
