// A launcher in a process of its own, as the tests of launching need it.
#pragma once

#include "dist/launch/launcher.hpp"
#include "temporary_folder.hpp"

#include <qtk/runtime/error.hpp>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <functional>
#include <iostream>
#include <iterator>
#include <sstream>
#include <thread>

namespace qtk::dist {

inline std::string content_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// Waits for ten seconds at most.
inline bool becomes_true(const std::function<bool()>& condition) {
  for (int i = 0; i < 1000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

/// Whether the process lives; one that nobody has reaped yet does not.
inline bool is_alive(pid_t pid) {
  const std::string stat = content_of("/proc/" + std::to_string(pid) + "/stat");
  const size_t at = stat.rfind(") ");
  return at != stat.npos && stat[at + 2] != 'Z' && stat[at + 2] != 'X';
}

class LauncherTest : public testing::Test {
 protected:
  struct Outcome {
    int code = -1;
    std::string out, err;  // err ends with the verdict's sentence
  };

  /// Workers that run a shell script; "%" in it is the folder of this test.
  LaunchPlan shell(int workers, std::string script) const {
    for (size_t at; (at = script.find('%')) != script.npos;)
      script.replace(at, 1, scratch_.path().string());
    LaunchPlan plan;
    plan.workers = workers;
    plan.command = {"/bin/sh", "-c", script};
    return plan;
  }

  void start(const LaunchPlan& plan) {
    launcher_ = ::fork();
    if (launcher_ != 0) return;
    for (const auto& [number, name] : {std::pair(1, "out"), std::pair(2, "err")})
      ::dup2(::open((scratch_ / name).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600),
             number);
    try {
      const auto verdict = launch(plan);
      std::cerr << verdict.sentence << "\n" << verdict.remedy << std::endl;
      ::_exit(verdict.code);
    } catch (const Error& error) {
      std::cerr << error.what() << std::endl;
      ::_exit(static_cast<int>(error.code()));
    }
  }
  Outcome finish() {
    int status = 0;
    ::waitpid(std::exchange(launcher_, -1), &status, 0);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, content_of(scratch_ / "out"),
            content_of(scratch_ / "err")};
  }
  Outcome run(const LaunchPlan& plan) {
    start(plan);
    return finish();
  }
  void send(int signal) const { ::kill(launcher_, signal); }
  ~LauncherTest() override {
    if (launcher_ <= 0) return;
    ::kill(launcher_, SIGKILL);
    ::waitpid(launcher_, nullptr, 0);
  }

  bool exists(const std::string& name) const { return std::filesystem::exists(scratch_ / name); }
  bool has_content(const std::string& name) const { return !content_of(scratch_ / name).empty(); }
  pid_t pid_in(const std::string& name) const {
    return static_cast<pid_t>(std::stol(content_of(scratch_ / name)));
  }

  TemporaryFolder scratch_;
  pid_t launcher_ = -1;
};

inline void expect_parts(const std::string& text, const std::vector<std::string>& parts) {
  for (const auto& part : parts)
    EXPECT_NE(text.find(part), text.npos) << "'" << part << "' not in: " << text;
}

}  // namespace qtk::dist
