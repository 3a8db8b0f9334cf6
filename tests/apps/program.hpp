// Starts the program `qtk` as a user does, and gives back what it printed.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

namespace qtk {

struct Outcome {
  int code = -1;  // exit code, or -1 if a signal ended it
  int signal = 0;
  std::string out, err;
};

inline std::string file_content(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

struct Start {
  std::filesystem::path folder = ".";  // where the process runs
  rlim_t largest_file = RLIM_INFINITY;
  std::string out;  // stdout goes to this file; empty: it is captured
};

/// One process of `qtk`.
class Program {
 public:
  explicit Program(const std::vector<std::string>& arguments, const Start& start = {})
      : out_(temporary_file()), err_(temporary_file()) {
    const std::string binary = path().string();
    std::vector<char*> words = {const_cast<char*>("qtk")};
    for (const auto& argument : arguments) words.push_back(const_cast<char*>(argument.c_str()));
    words.push_back(nullptr);
    const std::string out = start.out.empty() ? out_ : start.out;
    process_ = ::fork();
    if (process_ != 0) return;
    std::signal(SIGXFSZ, SIG_DFL);
    const int out_file = ::open(out.c_str(), O_WRONLY | O_CREAT, 0600),
              err_file = ::open(err_.c_str(), O_WRONLY | O_CREAT, 0600);
    ::dup2(out_file, 1);
    ::dup2(err_file, 2);
    ::setenv("OMP_NUM_THREADS", "1", 1);
    ::setenv("NO_COLOR", "1", 1);
    ::unsetenv("QTK_PLUGIN_PATH");
    if (start.largest_file != RLIM_INFINITY) {
      const rlimit limit{start.largest_file, start.largest_file};
      ::setrlimit(RLIMIT_FSIZE, &limit);
    }
    if (::chdir(start.folder.c_str()) == 0) ::execv(binary.c_str(), words.data());
    ::_exit(127);
  }
  ~Program() {
    if (process_ > 0) finish();
    std::filesystem::remove(out_);
    std::filesystem::remove(err_);
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  /// Waits until `condition` holds, for ten seconds at most, and sends the signal.
  void stop_when(const std::function<bool()>& condition, int signal) const {
    for (int i = 0; i < 2000 && !condition(); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    ::kill(process_, signal);
  }
  Outcome finish() {
    int status = 0;
    ::waitpid(process_, &status, 0);
    process_ = -1;
    return {.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
            .signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0,
            .out = file_content(out_),
            .err = file_content(err_)};
  }

  /// bin/qtk, beside the folder of this test program.
  static std::filesystem::path path() {
    return std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path() / "qtk";
  }

 private:
  static std::string temporary_file() {
    std::string name = (std::filesystem::temp_directory_path() / "qtk-output-XXXXXX").string();
    ::close(::mkstemp(name.data()));
    return name;
  }

  std::string out_, err_;
  pid_t process_ = -1;
};

inline Outcome qtk(const std::vector<std::string>& arguments, const Start& start = {}) {
  return Program(arguments, start).finish();
}

inline void expect_contains(const std::string& text, const std::vector<std::string>& fragments) {
  for (const auto& fragment : fragments)
    EXPECT_NE(text.find(fragment), std::string::npos)
        << "expected: ..." << fragment << "...\nin:       " << text;
}

}  // namespace qtk
