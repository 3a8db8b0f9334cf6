#include "base/fault_point.hpp"

#include <qtk/runtime/error.hpp>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <functional>

namespace qtk {
namespace {

/// Status of a process with these variables that does `body`: QTK_FAULT is read once in a process.
int status_of(const std::string& fault, const char* rank, const std::function<int()>& body,
              const char* attempt = "0", int options = 0) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(::open("/dev/null", O_WRONLY), 2);
    ::setenv("QTK_FAULT", fault.c_str(), 1);
    ::setenv("QTK_RANK", rank, 1);
    ::setenv("QTK_ATTEMPT", attempt, 1);
    try {
      ::_exit(body());
    } catch (const ConfigError&) {
      ::_exit(2);
    }
  }
  int status = 0;
  ::waitpid(child, &status, options);
  if (WIFSTOPPED(status)) {
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
  }
  return status;
}

/// How often the phase was passed before something happened: the exit code.
int passes() {
  for (int i = 0; i < 9; ++i)
    if (fault_point("forward")) return 100 + i;
  return 0;
}

TEST(FaultPointTest, NothingHappensWithoutTheVariable) { EXPECT_EQ(status_of("", "0", passes), 0); }

TEST(FaultPointTest, OnlyTheNamedArrivalOfTheNamedRankSkips) {
  EXPECT_EQ(WEXITSTATUS(status_of("forward:1:3:skip", "1", passes)), 102);
  EXPECT_EQ(WEXITSTATUS(status_of("forward:1:3:skip", "0", passes)), 0);
  EXPECT_EQ(WEXITSTATUS(status_of("backward:1:3:skip", "1", passes)), 0);
  EXPECT_EQ(WEXITSTATUS(status_of("forward:1:3:skip", "1", passes, "1")), 0) << "a restart";
}

TEST(FaultPointTest, TheProcessDiesOrStopsAsAsked) {
  EXPECT_EQ(WTERMSIG(status_of("forward:0:1:kill", "0", passes)), SIGKILL);
  EXPECT_EQ(WTERMSIG(status_of("forward:0:1:term", "0", passes)), SIGTERM);
  EXPECT_EQ(WEXITSTATUS(status_of("forward:0:1:exit", "0", passes)), 1);
  const int stopped = status_of("forward:0:1:stop", "0", passes, "0", WUNTRACED);
  ASSERT_TRUE(WIFSTOPPED(stopped));
  EXPECT_EQ(WSTOPSIG(stopped), SIGSTOP);
}

TEST(FaultPointTest, WhatIsNoPlanIsRefused) {
  for (const char* text :
       {"forward", "forward:1:kill", ":1:1:kill", "forward:x:1:kill", "forward:1:0:kill",
        "forward:-1:1:kill", "forward:1:1:explode", "forward:1:1:kill:more"})
    EXPECT_EQ(WEXITSTATUS(status_of(text, "1", passes)), 2) << text;
  const auto plan = parse_fault("all_reduce:2:30:stop");
  EXPECT_EQ(plan.phase, "all_reduce");
  EXPECT_EQ(plan.rank, 2);
  EXPECT_EQ(plan.count, 30);
  EXPECT_EQ(plan.action, "stop");
}

}  // namespace
}  // namespace qtk
