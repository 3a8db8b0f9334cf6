#include "dist/simulation/link_model.hpp"

#include <qtk/runtime/error.hpp>

#include <cmath>
#include <string>
#include <utility>

namespace qtk::dist {

void LinkModel::validate() const {
  const std::pair<const char*, double> figures[] = {
      {"rate", rate_bits_s},
      {"latency", latency_s},
      {"overhead", overhead_s},
      {"CPU time per byte handed over", hand_over_s_per_byte},
      {"CPU time per byte sent", send_cpu_s_per_byte},
      {"CPU time per byte received", receive_cpu_s_per_byte},
      {"burst", static_cast<double>(burst_bytes)},
      {"spread of shares", share_spread}};
  for (const auto& [name, value] : figures)
    if (!std::isfinite(value) || value < 0)
      throw ConfigError("the " + std::string(name) + " of a link is " + std::to_string(value) +
                            ", expected 0 or more",
                        "check the figures of the link");
}

double transfer_s(const LinkModel& link, double bytes) {
  return link.rate_bits_s > 0 ? bytes * 8 / link.rate_bits_s : 0;
}

double ring_bytes(int64_t ranks, double bytes) {
  return 2 * static_cast<double>(ranks - 1) / static_cast<double>(ranks) * bytes;
}

double ring_all_reduce_s(const LinkModel& link, int64_t ranks, double bytes) {
  if (ranks <= 1) return 0;
  const auto messages = 2 * static_cast<double>(ranks - 1);
  return transfer_s(link, ring_bytes(ranks, bytes)) + messages * (link.overhead_s + link.latency_s);
}

}  // namespace qtk::dist
