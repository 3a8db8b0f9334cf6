// A token bucket through which messages leave, in simulated time. Messages that are on their way at
// once divide the rate evenly, as TCP connections through one device do.
#pragma once

#include "dist/simulation/link_model.hpp"

#include <array>
#include <cstdint>

namespace qtk::dist {

/// At most two messages at a time: one of each neighbour. Times only go forward.
class Egress {
 public:
  explicit Egress(const LinkModel& link);

  /// A message of the direction `flow` begins to leave.
  void begin(int64_t flow, double bytes, double now);
  bool is_idle() const { return count_ == 0; }
  /// When the next message will have left, if none begins before; infinity while idle.
  double next_end() const;
  /// Ends the message that is due at next_end(). @returns its flow
  int64_t finish(double now);

 private:
  struct Message {
    double bytes_left = 0;
    int64_t flow = 0;
  };

  void advance(double now);
  /// Index of the message with the fewest bytes left.
  int first() const { return count_ == 2 && messages_[1].bytes_left < messages_[0].bytes_left; }

  double seconds_per_byte_;
  double burst_, tokens_;
  double updated_ = 0;
  std::array<Message, 2> messages_;
  int count_ = 0;
};

}  // namespace qtk::dist
