// Times of work on a CUDA device, by events.
#pragma once

#include <c10/core/Device.h>

#include <functional>

namespace qtk {

/// `work(i)` is the i-th of a round of `calls`, on its own buffers where caches must not help.
struct Timed {
  int calls = 1;
  std::function<void(int)> work;
};

/// Microseconds of a call: median over rounds of calls one after the other, as a program makes
/// them.
double eager_us(c10::Device device, const Timed& timed);

/// The same of rounds captured as one CUDA graph, without the cost of launching from the host.
double graph_us(c10::Device device, const Timed& timed);

}  // namespace qtk
