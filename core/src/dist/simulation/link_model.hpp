// What a link between two ranks costs, in the figures that `qtk bench link`
// measures:
//
//   time of one message = overhead + bytes * 8 / rate + latency
//
// The overhead keeps the next message of the same direction waiting, the
// latency does not.
#pragma once

#include <cstdint>

namespace qtk::dist {

struct LinkModel {
  double rate_bits_s = 0;  // of the payload, per direction; 0: transfers take no time
  double latency_s = 0;
  double overhead_s = 0;  // per message
  /// What the sending rank itself does for a byte after its message was sent, while it travels.
  double hand_over_s_per_byte = 0;
  double send_cpu_s_per_byte = 0;     // the sending rank computes nothing meanwhile
  double receive_cpu_s_per_byte = 0;  // the receiving rank, before it decodes
  /// What a token bucket that has been idle lets pass at once.
  int64_t burst_bytes = 0;
  /// Messages that leave one rank for different neighbours divide one bucket (a limit on a network
  /// device: `tc ... tbf`); else every direction of every link has its own (comm.rate_mbit).
  bool shares_egress = false;
  /// How unevenly they divide it: standard deviation of the logarithm of a message's weight, which
  /// is drawn for each one. 0: evenly.
  double share_spread = 0;

  /// @throws ConfigError naming the figure that is negative or not finite
  void validate() const;
};

/// Seconds of one direction's rate for so many bytes.
double transfer_s(const LinkModel& link, double bytes);

/// Bytes that each of `ranks` sends in a ring all-reduce: 2 (N - 1) / N of the tensor.
double ring_bytes(int64_t ranks, double bytes);

/// Seconds of a ring all-reduce: 2 (N - 1) messages of an N-th, one after another.
double ring_all_reduce_s(const LinkModel& link, int64_t ranks, double bytes);

}  // namespace qtk::dist
