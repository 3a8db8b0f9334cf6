#include "base/progress.hpp"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <utility>

namespace qtk {
namespace {

constexpr auto kBarInterval = std::chrono::milliseconds(100);
constexpr auto kLineInterval = std::chrono::seconds(30);

bool is_silent = false;

bool stderr_is_terminal() {
  const char* term = std::getenv("TERM");
  return ::isatty(STDERR_FILENO) != 0 && term && std::string_view(term) != "dumb";
}

double seconds(std::chrono::steady_clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

std::string formatted(const char* format, double value) {
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

}  // namespace

Progress::Progress(std::string what, int64_t total, std::string unit)
    : what_(std::move(what)),
      unit_(std::move(unit)),
      total_(total),
      start_(Clock::now()),
      shown_(start_),
      is_terminal_(stderr_is_terminal()) {}

Progress::~Progress() {
  if (has_bar_) std::fputs("\r\033[K", stderr);
}

void Progress::advance(int64_t units) {
  done_ += units;
  const auto now = Clock::now();
  if (!is_silent && now - shown_ >= (is_terminal_ ? Clock::duration(kBarInterval)
                                                  : Clock::duration(kLineInterval)))
    show(now);
}

void Progress::silence() { is_silent = true; }

void Progress::show(Clock::time_point now) {
  shown_ = now;
  const std::string text = line(now);
  if (is_terminal_) {
    std::fprintf(stderr, "\r\033[K%s", text.c_str());
    has_bar_ = true;
  } else {
    std::fprintf(stderr, "%s\n", text.c_str());
  }
  std::fflush(stderr);
}

std::string Progress::line(Clock::time_point now) const {
  const double elapsed = seconds(now - start_);
  std::string text = what_ + ": ";
  if (total_ > 0) {
    const double share = std::min(1.0, static_cast<double>(done_) / static_cast<double>(total_));
    if (is_terminal_) {
      constexpr int kWidth = 24;
      const auto filled = static_cast<size_t>(share * kWidth);
      text += "[" + std::string(filled, '#') + std::string(kWidth - filled, '.') + "] ";
    }
    text += formatted("%3.0f %%", 100 * share) + "  " + std::to_string(done_) + "/" +
            std::to_string(total_);
    if (done_ > first_)
      text += "  ETA " +
              duration_text(elapsed * static_cast<double>(std::max<int64_t>(0, total_ - done_)) /
                            static_cast<double>(done_ - first_));
  } else {
    text += std::to_string(done_);
  }
  if (elapsed > 0)
    text += "  " + formatted("%.3g ", static_cast<double>(done_ - first_) / elapsed) + unit_ + "/s";
  if (!note_.empty()) text += "  " + note_;
  return text;
}

std::string duration_text(double seconds) {
  if (seconds < 60) return formatted("%.1f s", seconds);
  const auto whole = static_cast<int64_t>(std::llround(seconds));
  if (whole < 3600) return std::to_string(whole / 60) + " min " + std::to_string(whole % 60) + " s";
  return std::to_string(whole / 3600) + " h " + std::to_string(whole % 3600 / 60) + " min";
}

std::string size_text(int64_t bytes) {
  const auto value = static_cast<double>(bytes);
  if (value < 1e6)
    return formatted("%.1f kB", value / 1e3) + formatted(" (%.1f KiB)", value / 1024);
  if (value < 1e9)
    return formatted("%.1f MB", value / 1e6) + formatted(" (%.1f MiB)", value / 1048576);
  return formatted("%.2f GB", value / 1e9) + formatted(" (%.2f GiB)", value / 1073741824);
}

}  // namespace qtk
