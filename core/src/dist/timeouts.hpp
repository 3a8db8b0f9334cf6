// How long anything may take. Every level is longer than the one below it.
#pragma once

#include <chrono>

namespace qtk::dist {

using Seconds = std::chrono::duration<double>;

struct Timeouts {
  Seconds heartbeat{1};
  int missed = 5;           // heartbeats, before a process counts as lost
  Seconds operation{60};    // one message or collective
  double step_factor = 10;  // of the median step ...
  Seconds step_floor{30};   // ... and never less: a longer step counts as hung
  Seconds rendezvous{120};  // all processes present
  Seconds grace{25};        // from the wish to stop to the saved checkpoint

  Seconds lost() const { return heartbeat * missed; }
};

inline std::chrono::milliseconds milliseconds(Seconds time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time);
}

}  // namespace qtk::dist
