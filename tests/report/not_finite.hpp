// Numbers that a report must survive.
#pragma once

#include <limits>

namespace qtk::report {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

}  // namespace qtk::report
