// Seconds for which processors have worked, by the kernel's own clocks.
#pragma once

#include <ctime>
#include <string>

namespace qtk {

inline double seconds_of(clockid_t clock) {
  timespec time{};
  ::clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

/// For the calling thread.
inline double thread_processor_s() { return seconds_of(CLOCK_THREAD_CPUTIME_ID); }
/// For all threads of this process.
inline double process_processor_s() { return seconds_of(CLOCK_PROCESS_CPUTIME_ID); }

/// For the threads to which the kernel leaves work of interrupts that is too much for whoever was
/// interrupted (ksoftirqd), since the machine was started: under load mostly packets of the
/// network. They belong to no process. 0 where they cannot be seen, as in a container.
double kernel_threads_processor_s();

/// Names the running kernel: the same for all processes of one machine. Empty if it cannot be read.
std::string kernel_id();

}  // namespace qtk
