// The subjects of qtk bench, one file each.
#pragma once

#include "verb.hpp"

namespace qtk::app {

int bench_comm(Arguments arguments);
int bench_link(Arguments arguments);

}  // namespace qtk::app
