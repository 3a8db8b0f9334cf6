// A token bucket through which messages leave, in simulated time. Messages that are on their way at
// once divide the rate by their weights: evenly, if they are alike.
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
  void begin(int64_t flow, double bytes, double now, double weight = 1);
  bool is_idle() const { return count_ == 0; }
  /// When the next message will have left, if none begins before; infinity while idle.
  double next_end() const;
  /// Ends the message that is due at next_end(). @returns its flow
  int64_t finish(double now);

 private:
  struct Message {
    double bytes_left = 0;
    int64_t flow = 0;
    double weight = 1;
  };

  void advance(double now);
  /// The message's part of the rate.
  double share(int message) const;
  /// Bytes that the whole rate passes until this message has left, if none begins or ends before.
  double bytes_until_end(int message) const {
    return messages_[message].bytes_left / share(message);
  }
  /// The message that ends first.
  int first() const { return count_ == 2 && bytes_until_end(1) < bytes_until_end(0); }

  double seconds_per_byte_;
  double burst_, tokens_;
  double updated_ = 0;
  std::array<Message, 2> messages_;
  int count_ = 0;
};

}  // namespace qtk::dist
