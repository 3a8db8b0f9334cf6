// The schedules that every simulated fact is checked for.
#pragma once

#include "dist/schedule.hpp"

namespace qtk::dist {

constexpr ScheduleKind kSchedules[] = {ScheduleKind::kGpipe, ScheduleKind::k1f1b};

}  // namespace qtk::dist
