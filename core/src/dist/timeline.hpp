// What a rank did when: the durations that the simulator is calibrated with, and, if wanted, a
// trace for chrome://tracing or ui.perfetto.dev.
#pragma once

#include <c10/core/Device.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace c10 {
class Event;
}

namespace qtk::dist {

/// The lanes of a rank, in the order in which they are shown.
enum class Lane {
  kForwardReceive,
  kForwardCompute,
  kForwardSend,
  kBackwardReceive,
  kBackwardCompute,
  kBackwardSend,
  kOptimizerStep,    // from the last backward pass to the new weights
  kOptimizerComm,    // of it: gradients and weights of replicas
  kOptimizerCompute  // of it: the update
};
inline constexpr int kLanes = 9;

/// How a lane is shown, as the trace of TAH-Quant's pipeline does (arXiv 2506.01352, its code), so
/// that both can be laid side by side.
struct LaneLook {
  const char* name;   // rows sort by their number
  const char* color;  // of chrome://tracing
  const char* work;   // name of all its events; null: their own
};
const LaneLook& look_of(Lane lane);

class Timeline {
 public:
  /// @param keeps_trace  else only the latest durations of every kind of work are kept
  Timeline(int rank, c10::Device device, bool keeps_trace);
  ~Timeline();

  /// One piece of work of the calling thread, from construction to destruction. On a GPU the time
  /// on the current stream is measured, where there is a trace; nothing waits for it.
  class Span {
   public:
    Span(Timeline& timeline, Lane lane, const char* name, int64_t micro_batch);
    ~Span();
    Span(const Span&) = delete;
    Span& operator=(const Span&) = delete;

   private:
    Timeline& timeline_;
    Lane lane_;
    const char* name_;  // "comp", "encode", "decode", "wait", "transfer", ...
    int64_t micro_batch_;
    std::chrono::steady_clock::time_point start_;
    double start_processor_s_;
    std::unique_ptr<c10::Event> event_;
  };
  Span span(Lane lane, const char* name, int64_t micro_batch = -1) {
    return Span(*this, lane, name, micro_batch);
  }

  /// A piece of work that has just ended.
  /// @param processor_s  what processors worked for it meanwhile
  void add(Lane lane, const char* name, double seconds, double processor_s = 0);
  /// As add(), but not part of the trace.
  void note_duration(Lane lane, const char* name, double seconds, double processor_s = 0);
  /// Median seconds of the latest pieces of work of this lane and name; 0 if there were none.
  double median(Lane lane, std::string_view name) const;
  /// Their mean, which adds up to the time of many of them, however they scatter.
  double mean(Lane lane, std::string_view name) const;
  /// The mean of what processors worked for them; 0 on a GPU.
  double mean_processor_s(Lane lane, std::string_view name) const;

  c10::Device device() const { return device_; }
  /// Whether the calling thread's own processor time is all that computing takes: on a CPU, if only
  /// one thread computes.
  bool has_one_computing_thread() const { return device_.is_cpu() && !has_many_threads_; }
  /// Processor seconds so far of what computes: of the calling thread, or where several threads
  /// compute of all threads of the process; 0 on a GPU.
  double processor_s() const;

  /// Forgets all durations, as those of a first step; not the trace.
  void forget_durations();
  /// Writes the trace (a JSON array of complete events) if one is kept. Waits for the GPU.
  void write(const std::filesystem::path& path);

 private:
  using Clock = std::chrono::steady_clock;
  struct Event {
    Lane lane;
    const char* name;
    int64_t micro_batch;
    double start_us, duration_us;  // since the epoch; of the host
    double processor_s;
    std::shared_ptr<c10::Event> begin, end;  // of the stream; empty on the CPU
  };
  struct Taken {
    double seconds, processor_s;
  };
  struct Latest {
    Lane lane;
    std::string name;
    std::deque<Taken> taken;
  };
  void add(Event event);
  std::vector<double> latest(Lane lane, std::string_view name, double Taken::*figure) const;
  double since_epoch_us(Clock::time_point time) const;

  const int rank_;
  const c10::Device device_;
  const bool keeps_trace_, has_many_threads_;
  const Clock::time_point start_ = Clock::now();
  const double start_us_;  // wall clock at start_
  std::unique_ptr<c10::Event> origin_;
  mutable std::mutex mutex_;
  std::vector<Event> events_;
  std::vector<Latest> latest_;
};

}  // namespace qtk::dist
