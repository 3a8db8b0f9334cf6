#include "base/processor_time.hpp"

#include <filesystem>
#include <fstream>
#include <system_error>
#include <vector>

namespace qtk {
namespace {

namespace fs = std::filesystem;

std::string first_word(const fs::path& file) {
  std::string word;
  std::ifstream(file) >> word;
  return word;
}

/// Folders of /proc, which exist as long as the kernel runs.
std::vector<fs::path> interrupt_threads() {
  std::vector<fs::path> threads;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator("/proc", ignored))
    if (first_word(entry.path() / "comm").starts_with("ksoftirqd/")) threads.push_back(entry);
  return threads;
}

}  // namespace

double kernel_threads_processor_s() {
  static const std::vector<fs::path> threads = interrupt_threads();
  double sum_s = 0;
  for (const auto& thread : threads) {
    double nanoseconds = 0;  // on a processor
    if (std::ifstream(thread / "schedstat") >> nanoseconds) sum_s += 1e-9 * nanoseconds;
  }
  return sum_s;
}

std::string kernel_id() { return first_word("/proc/sys/kernel/random/boot_id"); }

}  // namespace qtk
