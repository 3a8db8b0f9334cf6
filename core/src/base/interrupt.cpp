#include "base/interrupt.hpp"

#include <qtk/runtime/error.hpp>

#include <unistd.h>

#include <csignal>

namespace qtk {
namespace {

volatile std::sig_atomic_t stop_signal = 0;

extern "C" void remember_signal(int signal) {
  if (stop_signal != 0) ::_exit(signal == SIGINT ? 130 : 75);
  stop_signal = signal;
}

}  // namespace

void watch_interrupts() {
  struct sigaction action {};
  action.sa_handler = remember_signal;
  action.sa_flags = SA_RESTART;
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1}) ::sigaction(signal, &action, nullptr);
  std::signal(SIGXFSZ,
              SIG_IGN);  // a file-size limit is an I/O error like any other, not a reason to die
}

int interrupt_signal() { return stop_signal; }

void throw_interrupt(int signal) {
  if (signal == SIGINT)
    throw Error("interrupted; finished work is saved", "run the same command again to continue",
                ExitCode::kInterrupted, "stop");
  throw Error("asked to stop; finished work is saved", "run the same command again to continue",
              ExitCode::kPreempted, "stop");
}

void stop_if_interrupted() {
  if (stop_signal != 0) throw_interrupt(stop_signal);
}

}  // namespace qtk
