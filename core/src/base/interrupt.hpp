// Ctrl-C and SIGTERM: the first asks the run to stop at the next safe point, the second ends the
// process at once.
#pragma once

namespace qtk {

/// Installs the handlers; idempotent. To be called from the main thread, which gets all signals to
/// the process.
void watch_interrupts();
/// The signal that asked for a stop, or 0.
int interrupt_signal();
/// Throws the Error of a stop by this signal: kInterrupted after Ctrl-C, kPreempted after others.
[[noreturn]] void throw_interrupt(int signal);
/// Throws Error (kInterrupted after Ctrl-C, kPreempted after SIGTERM or SIGUSR1) if a stop was
/// asked for. Call where everything finished so far is on disk.
void stop_if_interrupted();

}  // namespace qtk
