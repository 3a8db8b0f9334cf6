#include "base/interrupt.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>

namespace qtk {
namespace {

constexpr char kUntouched = 0x5A;
std::array<char, 64 << 10> narrow_stack;

void signal_itself() { ::kill(::getpid(), SIGTERM); }

/// How many bytes of its stack a function needs in which a signal arrives.
int64_t stack_depth_of_a_signal() {
  ::kill(::getpid(), 0);  // the first call of a function also looks it up
  narrow_stack.fill(kUntouched);
  ucontext_t here, there;
  ::getcontext(&there);
  there.uc_stack.ss_sp = narrow_stack.data();
  there.uc_stack.ss_size = narrow_stack.size();
  there.uc_link = &here;
  ::makecontext(&there, signal_itself, 0);
  ::swapcontext(&here, &there);
  const auto* lowest = std::find_if(narrow_stack.begin(), narrow_stack.end(),
                                    [](char byte) { return byte != kUntouched; });
  return narrow_stack.end() - lowest;
}

// Kernels of LibTorch's libraries run with the stack register in the heap.
TEST(InterruptTest, ASignalDoesNotWriteBelowTheStackOfWhatItInterrupts) {
  const pid_t child = ::fork();  // a signal is remembered for the rest of a process
  if (child == 0) {
    watch_interrupts();
    ::_exit(stack_depth_of_a_signal() < 1000 ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);

  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace qtk
