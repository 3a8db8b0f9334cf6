// A test facility (docs/reliability.md): places where a test can make a rank fail on purpose.
#pragma once

#include <string>
#include <string_view>

namespace qtk {

/// Does nothing unless the environment variable QTK_FAULT names this place as
/// PHASE:RANK:COUNT:ACTION, for example "backward:1:3:kill": rank 1, the third time it comes here,
/// in the first attempt of a run. Actions: kill, stop, pause (stopped for three seconds), hang,
/// exit (with code 1), term (SIGTERM to itself), skip.
/// @return whether the caller is to leave out what follows (skip)
/// @throws ConfigError if QTK_FAULT is not of this form
bool fault_point(std::string_view phase);

struct FaultPlan {
  std::string phase;
  int rank = 0, count = 1;
  std::string action;
};
/// @throws ConfigError
FaultPlan parse_fault(const std::string& text);

}  // namespace qtk
