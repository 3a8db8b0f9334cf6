#include "dist/timeline.hpp"

#include "base/atomic_file.hpp"
#include "base/median.hpp"
#include "base/processor_time.hpp"

#include <ATen/Parallel.h>
#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <numeric>

namespace qtk::dist {
namespace {

using nlohmann::json;

constexpr size_t kLatest = 512;            // durations that are remembered of a kind
constexpr size_t kMostEvents = 1'000'000;  // of a trace; later ones are left out

constexpr std::array<LaneLook, kLanes> kLooks = {
    {{"1. forward-recv", "startup", "recv"},
     {"2. forward-compute", "good", "comp"},
     {"3. forward-send", "thread_state_iowait", "send"},
     {"4. backward-recv", "startup", "recv"},
     {"5. backward-compute", "good", "comp"},
     {"6. backward-send", "thread_state_iowait", "send"},
     {"7. optimizer-step", "bad", "opt"},
     {"7. optimizer-comm", "cq_build_passed", nullptr},
     {"8. optimizer-comp", "bad", "opt_comp"}}};

double wall_clock_us() {
  return std::chrono::duration<double, std::micro>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

double mean_of(const std::vector<double>& figures) {
  if (figures.empty()) return 0;
  return std::accumulate(figures.begin(), figures.end(), 0.0) / static_cast<double>(figures.size());
}

std::unique_ptr<c10::Event> recorded(c10::Device device) {
  auto event = std::make_unique<c10::Event>(device.type(), c10::EventFlag::BACKEND_DEFAULT);
  event->record(c10::impl::VirtualGuardImpl(device.type()).getStream(device));
  return event;
}

}  // namespace

const LaneLook& look_of(Lane lane) { return kLooks[static_cast<size_t>(lane)]; }

Timeline::Timeline(int rank, c10::Device device, bool keeps_trace)
    : rank_(rank),
      device_(device),
      keeps_trace_(keeps_trace),
      has_many_threads_(at::get_num_threads() > 1),
      start_us_(wall_clock_us()) {
  if (keeps_trace_ && device_.is_cuda()) origin_ = recorded(device_);
}
Timeline::~Timeline() = default;

Timeline::Span::Span(Timeline& timeline, Lane lane, const char* name, int64_t micro_batch)
    : timeline_(timeline),
      lane_(lane),
      name_(name),
      micro_batch_(micro_batch),
      start_(Clock::now()),
      start_processor_s_(timeline.processor_s()) {
  if (timeline_.origin_) event_ = recorded(timeline_.device_);
}

Timeline::Span::~Span() {
  Event event{
      .lane = lane_,
      .name = name_,
      .micro_batch = micro_batch_,
      .start_us = timeline_.since_epoch_us(start_),
      .duration_us = std::chrono::duration<double, std::micro>(Clock::now() - start_).count(),
      .processor_s = timeline_.processor_s() - start_processor_s_,
      .begin = {},
      .end = {}};
  if (event_) {
    event.begin = std::move(event_);
    event.end = recorded(timeline_.device_);
  }
  timeline_.add(std::move(event));
}

double Timeline::since_epoch_us(Clock::time_point time) const {
  return start_us_ + std::chrono::duration<double, std::micro>(time - start_).count();
}

double Timeline::processor_s() const {
  if (!device_.is_cpu()) return 0;
  return has_many_threads_ ? process_processor_s() : thread_processor_s();
}

void Timeline::add(Lane lane, const char* name, double seconds, double processor_s) {
  add({.lane = lane,
       .name = name,
       .micro_batch = -1,
       .start_us = since_epoch_us(Clock::now()) - seconds * 1e6,
       .duration_us = seconds * 1e6,
       .processor_s = processor_s,
       .begin = {},
       .end = {}});
}

void Timeline::add(Event event) {
  note_duration(event.lane, event.name, event.duration_us * 1e-6, event.processor_s);
  const std::lock_guard lock(mutex_);
  if (keeps_trace_ && events_.size() < kMostEvents) events_.push_back(std::move(event));
}

void Timeline::note_duration(Lane lane, const char* name, double seconds, double processor_s) {
  const std::lock_guard lock(mutex_);
  auto found = std::ranges::find_if(
      latest_, [&](const Latest& latest) { return latest.lane == lane && latest.name == name; });
  if (found == latest_.end()) found = latest_.insert(latest_.end(), {lane, name, {}});
  found->taken.push_back({seconds, processor_s});
  if (found->taken.size() > kLatest) found->taken.pop_front();
}

std::vector<double> Timeline::latest(Lane lane, std::string_view name,
                                     double Taken::*figure) const {
  const std::lock_guard lock(mutex_);
  std::vector<double> figures;
  for (const auto& latest : latest_)
    if (latest.lane == lane && latest.name == name)
      for (const Taken& taken : latest.taken) figures.push_back(taken.*figure);
  return figures;
}

double Timeline::median(Lane lane, std::string_view name) const {
  const auto seconds = latest(lane, name, &Taken::seconds);
  return seconds.empty() ? 0 : qtk::median(seconds);
}

double Timeline::mean(Lane lane, std::string_view name) const {
  return mean_of(latest(lane, name, &Taken::seconds));
}

double Timeline::mean_processor_s(Lane lane, std::string_view name) const {
  return mean_of(latest(lane, name, &Taken::processor_s));
}

void Timeline::forget_durations() {
  const std::lock_guard lock(mutex_);
  latest_.clear();
}

void Timeline::write(const std::filesystem::path& path) {
  if (!keeps_trace_) return;
  const std::lock_guard lock(mutex_);
  json rows = json::array();
  for (const Event& event : events_) {
    const LaneLook& look = look_of(event.lane);
    double start = event.start_us, duration = event.duration_us;
    if (event.begin) {
      event.end->synchronize();
      start = start_us_ + 1e3 * origin_->elapsedTime(*event.begin);
      duration = 1e3 * event.begin->elapsedTime(*event.end);
    }
    json row = {{"name", look.work ? look.work : event.name},
                {"ph", "X"},
                {"pid", rank_},
                {"tid", look.name},
                {"ts", start},
                {"dur", duration},
                {"cname", look.color}};
    if (event.micro_batch >= 0) row["args"]["micro-batch"] = event.micro_batch;
    if (look.work && std::string_view(event.name) != look.work) row["args"]["part"] = event.name;
    rows.push_back(std::move(row));
  }
  write_file_atomically(path, rows.dump() + "\n");
}

}  // namespace qtk::dist
