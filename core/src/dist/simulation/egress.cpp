#include "dist/simulation/egress.hpp"

#include <qtk/runtime/check.hpp>

#include <algorithm>
#include <limits>

namespace qtk::dist {

Egress::Egress(const LinkModel& link)
    : seconds_per_byte_(transfer_s(link, 1)),
      burst_(static_cast<double>(link.burst_bytes)),
      tokens_(burst_) {}

double Egress::share(int message) const {
  double sum = 0;
  for (int i = 0; i < count_; ++i) sum += messages_[i].weight;
  return messages_[message].weight / sum;
}

void Egress::advance(double now) {
  const double passed = now - updated_;
  updated_ = now;
  if (seconds_per_byte_ == 0) return;
  const double bytes = passed / seconds_per_byte_;
  if (count_ == 0) tokens_ = std::min(burst_, tokens_ + bytes);
  for (int i = 0; i < count_; ++i)
    messages_[i].bytes_left = std::max(0.0, messages_[i].bytes_left - bytes * share(i));
}

void Egress::begin(int64_t flow, double bytes, double now, double weight) {
  QTK_CHECK(count_ < 2, "a third message leaves through one egress");
  advance(now);
  // While something is on its way the bucket is empty, so only the first message finds tokens.
  const double at_once = std::min(tokens_, bytes);
  tokens_ -= at_once;
  messages_[count_++] = {bytes - at_once, flow, weight};
}

double Egress::next_end() const {
  if (count_ == 0) return std::numeric_limits<double>::infinity();
  return updated_ + bytes_until_end(first()) * seconds_per_byte_;
}

int64_t Egress::finish(double now) {
  QTK_CHECK(count_ > 0, "no message is on its way");
  advance(now);
  const int done = first();
  const int64_t flow = messages_[done].flow;
  messages_[done] = messages_[count_ - 1];
  --count_;
  return flow;
}

}  // namespace qtk::dist
