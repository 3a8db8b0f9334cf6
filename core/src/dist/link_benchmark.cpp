#include "dist/link_benchmark.hpp"

#include "base/interrupt.hpp"
#include "base/median.hpp"
#include "base/processor_time.hpp"
#include "dist/elapsed.hpp"
#include "dist/simulation/link_fit.hpp"

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <string>

namespace qtk::dist {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kSmallestBytes = 64 << 10;
constexpr int64_t kVolume = 8 << 20;  // most bytes of a measurement, unless one message has more
constexpr double kLongest_s = 1;  // most seconds of a measurement, unless one message takes more
constexpr int64_t kRoundTrips = 100, kWarmUp = 10, kSmallMessages = 64;
constexpr int kSignal = 1 << 20;  // tag of the messages around a measurement; others count from 0
constexpr Seconds kWait{3600};    // for the figures of another pair

/// One end of one link: it sends by one group and receives by the other, as a stage does.
class LinkEnd {
 public:
  LinkEnd(ProcessGroup& out, ProcessGroup& in, int peer) : out_(out), in_(in), peer_(peer) {}

  void signal() { out_.send(one_byte_, peer_, kSignal, "a signal").wait(); }
  void await_signal() { in_.receive(one_byte_, peer_, kSignal, "a signal").wait(); }

  void tell(int64_t number) {
    out_.send(at::full({1}, number, at::kLong), peer_, kSignal, "a number").wait();
  }
  int64_t told() {
    at::Tensor number = at::empty({1}, at::kLong);
    in_.receive(number, peer_, kSignal, "a number").wait();
    return number.item<int64_t>();
  }

  void post(int64_t bytes, int64_t count) {
    received_ = at::empty({count, bytes}, at::kByte);
    for (int64_t i = 0; i < count; ++i) {
      at::Tensor row = received_[i];
      under_way_.push_back(in_.receive(row, peer_, static_cast<int>(i), "a message"));
    }
  }
  void send(int64_t bytes, int64_t count) {
    sent_ = at::zeros({count, bytes}, at::kByte);
    for (int64_t i = 0; i < count; ++i)
      under_way_.push_back(out_.send(sent_[i], peer_, static_cast<int>(i), "a message"));
  }
  void finish() {
    for (auto& message : under_way_) message.wait();
    under_way_.clear();
  }

 private:
  ProcessGroup &out_, &in_;
  const int peer_;
  at::Tensor one_byte_ = at::zeros({1}, at::kByte), sent_, received_;
  std::vector<Pending> under_way_;
};

struct Measurement {
  double seconds = 0;
  double cpu_s = 0;  // of this process
};

/// The same sequence of measurements at both ends; the first one takes the times.
class PairBenchmark {
 public:
  PairBenchmark(LinkEnd end, bool is_first) : end_(std::move(end)), is_first_(is_first) {}

  double round_trip() {
    std::vector<double> seconds;
    for (int64_t i = 0; i < kWarmUp + kRoundTrips; ++i) {
      const auto start = Clock::now();
      if (is_first_) end_.signal();
      end_.await_signal();
      if (!is_first_) end_.signal();
      if (i >= kWarmUp) seconds.push_back(seconds_since(start));
    }
    return median(std::move(seconds));
  }

  /// What the first end wants, at both.
  int64_t agreed(int64_t number) {
    if (!is_first_) return end_.told();
    end_.tell(number);
    return number;
  }

  /// From the first message's departure until the answer to the last one.
  Measurement one_way(int64_t bytes, int64_t count) {
    if (!is_first_) end_.post(bytes, count);
    meet();
    const auto start = Clock::now();
    const double cpu = process_processor_s();
    if (is_first_) end_.send(bytes, count);
    end_.finish();
    if (is_first_)
      end_.await_signal();
    else
      end_.signal();
    return {seconds_since(start), process_processor_s() - cpu};
  }

  double both_ways(int64_t bytes, int64_t count) {
    end_.post(bytes, count);
    meet();
    const auto start = Clock::now();
    end_.send(bytes, count);
    end_.finish();
    if (is_first_)
      end_.await_signal();
    else
      end_.signal();
    return seconds_since(start);
  }

 private:
  /// Both are ready; the first one leaves last.
  void meet() {
    if (is_first_) end_.signal();
    end_.await_signal();
    if (!is_first_) end_.signal();
  }

  LinkEnd end_;
  const bool is_first_;
};

/// One repeat of one size, alike at both ends.
struct SizeTimes {
  std::vector<double> one_way_s, both_ways_s;
};

/// What one end of a link finds. Of the second end only the processor time counts.
LinkFigures measure_pair(PairBenchmark& pair, const LinkBenchmarkSettings& settings,
                         double& cpu_s_per_byte) {
  LinkFigures figures;
  figures.round_trip_s = pair.round_trip();
  const double answer_s = figures.round_trip_s / 2;
  std::vector<double> small_s, cpu;
  for (int64_t i = 0; i < settings.repeats; ++i)
    small_s.push_back(pair.one_way(1, kSmallMessages).seconds);
  figures.overhead_s = std::max(0.0, median(small_s) - answer_s) / kSmallMessages;
  figures.latency_s = std::max(0.0, answer_s - figures.overhead_s);
  double byte_s = pair.one_way(kSmallestBytes, 1).seconds / kSmallestBytes;
  for (int64_t bytes = kSmallestBytes; bytes <= settings.largest_bytes; bytes *= 4) {
    const double message_s = byte_s * static_cast<double>(bytes);
    const int64_t count = pair.agreed(std::max<int64_t>(
        1, std::min(kVolume / bytes, static_cast<int64_t>(kLongest_s / message_s))));
    const auto messages = static_cast<double>(count);
    SizeTimes times;
    cpu.clear();  // small messages cost more a byte; the largest ones count
    for (int64_t i = 0; i < settings.repeats; ++i) {
      stop_if_interrupted();
      const auto one_way = pair.one_way(bytes, count);
      // The answer and the first message's own latency are not part of a message's time.
      times.one_way_s.push_back(
          std::max(one_way.seconds - answer_s - figures.latency_s, one_way.seconds / 2) / messages);
      cpu.push_back(one_way.cpu_s / (messages * static_cast<double>(bytes)));
      const double both_s = pair.both_ways(bytes, count);
      times.both_ways_s.push_back(std::max(both_s - answer_s - figures.latency_s, both_s / 2) /
                                  messages);
    }
    figures.samples.push_back({bytes, median(times.one_way_s), median(times.both_ways_s)});
    byte_s = figures.samples.back().one_way_s / static_cast<double>(bytes);
  }
  cpu_s_per_byte = median(std::move(cpu));
  return figures;
}

void fit(LinkFigures& figures) {
  std::vector<LineSample> one_way, both_ways;
  for (const auto& sample : figures.samples) {
    one_way.push_back({static_cast<double>(sample.bytes), sample.one_way_s});
    both_ways.push_back({static_cast<double>(sample.bytes), sample.both_ways_s});
  }
  const LineFit line = fit_line(one_way), both = fit_line(both_ways);
  figures.fit_error = line.largest_error;
  figures.rate_bits_s = line.seconds_per_byte > 0 ? 8 / line.seconds_per_byte : 0;
  figures.both_ways_bits_s = both.seconds_per_byte > 0 ? 8 / both.seconds_per_byte : 0;
}

std::string key_of(int first, const char* end) {
  return "bench/link/" + std::to_string(first) + "/" + end;
}

}  // namespace

std::vector<LinkFigures> measure_links(World& world, const LinkBenchmarkSettings& settings,
                                       const std::function<void(int first)>& on_pair) {
  const int rank = world.mesh().rank, pairs = world.mesh().world() - 1;
  for (int first = 0; first < pairs; ++first) {
    on_pair(first);
    world.meet("pair " + std::to_string(first));
    const bool is_first = rank == first;
    if (!is_first && rank != first + 1) continue;
    ProcessGroup &there = world.forward(), &back = world.backward();
    PairBenchmark pair(is_first ? LinkEnd(there, back, first + 1) : LinkEnd(back, there, first),
                       is_first);
    double cpu_s_per_byte = 0;
    LinkFigures figures = measure_pair(pair, settings, cpu_s_per_byte);
    if (!is_first) {
      world.store().set(key_of(first, "receiver"), nlohmann::json(cpu_s_per_byte).dump());
      continue;
    }
    fit(figures);
    figures.from = first;
    figures.to = first + 1;
    figures.send_cpu_s_per_byte = cpu_s_per_byte;
    figures.receive_cpu_s_per_byte =
        nlohmann::json::parse(world.store().get(key_of(first, "receiver"), kWait)).get<double>();
    world.store().set(key_of(first, "figures"), link_json({figures}).dump());
  }
  world.meet("the figures of all pairs");
  std::vector<LinkFigures> all;
  for (int first = 0; world.is_chief() && first < pairs; ++first)
    all.push_back(parse_link_json(world.store().get(key_of(first, "figures"), kWait),
                                  "the figures of rank " + std::to_string(first))
                      .front());
  return all;
}

}  // namespace qtk::dist
