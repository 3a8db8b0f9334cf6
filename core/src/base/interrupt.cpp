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

/// Gives signal handlers of this thread a stack of their own. oneDNN's matrix products for AVX-512
/// point the stack register into a buffer of the heap while they run; a handler on the thread's own
/// stack would then write over what lies before that buffer.
void use_alternate_stack() {
  alignas(64) static char memory[256 << 10];  // registers of AMX alone take 11 KB
  stack_t stack{};
  stack.ss_sp = memory;
  stack.ss_size = sizeof(memory);
  ::sigaltstack(&stack, nullptr);
}

}  // namespace

void watch_interrupts() {
  use_alternate_stack();
  struct sigaction action {};
  action.sa_handler = remember_signal;
  action.sa_flags = SA_RESTART | SA_ONSTACK;
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
