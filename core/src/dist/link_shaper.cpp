#include "dist/link_shaper.hpp"

#include <algorithm>

namespace qtk::dist {

LinkShaper::Time LinkShaper::departure(Time handed_over, int64_t bytes) {
  const double rate = shape_.bytes_per_second;
  if (rate <= 0) return handed_over;
  const Time burst(static_cast<double>(shape_.burst_bytes) / rate);
  // The bucket holds at most the burst.
  empty_ = std::max(empty_, handed_over - burst);
  empty_ += Time(static_cast<double>(bytes) / rate);
  return std::max(handed_over, empty_);
}

}  // namespace qtk::dist
