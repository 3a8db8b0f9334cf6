// What happens next in simulated time. Of events at one instant, the one added first comes first,
// so a simulation is the same on every call.
#pragma once

#include <cstdint>
#include <queue>
#include <vector>

namespace qtk::dist {

enum class EventKind : uint8_t {
  kOpEnd,         // subject: rank
  kOverheadEnd,   // subject: flow
  kMessageLeft,   // subject: egress; void if its version is not the egress's any
                  // more
  kArrival,       // subject: flow
  kExchangeEnd,   // subject: exchange
  kOptimizerEnd,  // subject: rank
  // Only where ranks share the cores of a host:
  kWorkEnd,         // subject: host; void as above
  kSendWorkEnd,     // subject: flow
  kReceiveWorkEnd,  // subject: flow
};

struct Event {
  double time = 0;
  uint64_t order = 0;
  int64_t subject = 0;
  uint32_t version = 0;
  EventKind kind = EventKind::kOpEnd;
};

class EventQueue {
 public:
  void add(double time, EventKind kind, int64_t subject, uint32_t version = 0) {
    heap_.push({time, order_++, subject, version, kind});
  }
  bool is_empty() const { return heap_.empty(); }
  Event take() {
    const Event event = heap_.top();
    heap_.pop();
    ++taken_;
    return event;
  }
  int64_t taken() const { return taken_; }

 private:
  struct Later {
    bool operator()(const Event& a, const Event& b) const {
      return a.time != b.time ? a.time > b.time : a.order > b.order;
    }
  };
  std::priority_queue<Event, std::vector<Event>, Later> heap_;
  uint64_t order_ = 0;
  int64_t taken_ = 0;
};

}  // namespace qtk::dist
