// A slow network on a fast one: a token bucket and a delay for one direction of a link.
#pragma once

#include <chrono>
#include <cstdint>

namespace qtk::dist {

struct LinkShape {
  double bytes_per_second = 0;  // 0: no limit
  int64_t burst_bytes = 0;      // what an idle link passes at once
  std::chrono::duration<double> latency{0};

  bool is_shaped() const { return bytes_per_second > 0 || latency.count() > 0; }
};

/// When messages that are handed over at given times have arrived. Pure arithmetic; messages go one
/// after another.
class LinkShaper {
 public:
  using Time = std::chrono::duration<double>;  // since any fixed moment

  explicit LinkShaper(const LinkShape& shape) : shape_(shape) {}

  /// The last byte has left the bucket at ...; the latency not included.
  Time departure(Time handed_over, int64_t bytes);
  Time arrival(Time handed_over, int64_t bytes) {
    return departure(handed_over, bytes) + shape_.latency;
  }

 private:
  const LinkShape shape_;
  /// The moment at which the bucket, always filling, would have been empty: the level at time t is
  /// min(burst, (t - empty_) rate).
  Time empty_{-1e18};
};

}  // namespace qtk::dist
