// Progress of a long piece of work: a bar with an estimate on a terminal, a plain line every 30 s
// elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace qtk {

/// Writes to stderr. One at a time; not thread-safe.
class Progress {
 public:
  /// @param what   "eval w4"; @param total  units of work, 0 if unknown; @param unit  "token"
  Progress(std::string what, int64_t total, std::string unit);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void advance(int64_t units);
  /// Work that an earlier process did: part of the total, not of the speed.
  void start_at(int64_t done) { done_ = first_ = done; }
  /// Shown behind the bar: "ppl 21.3".
  void note(std::string text) { note_ = std::move(text); }

  /// No output at all from now on (--quiet).
  static void silence();

 private:
  using Clock = std::chrono::steady_clock;
  void show(Clock::time_point now);
  std::string line(Clock::time_point now) const;

  std::string what_;
  std::string unit_;
  std::string note_;
  int64_t total_;
  int64_t done_ = 0, first_ = 0;
  Clock::time_point start_;
  Clock::time_point shown_;
  bool is_terminal_;
  bool has_bar_ = false;
};

/// "3.2 s", "4 min 10 s", "2 h 5 min"
std::string duration_text(double seconds);
/// "269.0 MB (256.6 MiB)"
std::string size_text(int64_t bytes);

}  // namespace qtk
