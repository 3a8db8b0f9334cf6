#include "dist/simulation/simulated_hosts.hpp"

namespace qtk::dist {
namespace {

constexpr int64_t kKinds = 16;  // of events; a task is named by its subject and its kind

}  // namespace

SimulatedHosts::SimulatedHosts(const PipelineModel& model, EventQueue& queue)
    : queue_(queue), ranks_per_host_(model.ranks_of_a_host()) {
  if (!model.shares_cores()) return;
  const int64_t ranks = model.simulated_replicas() * model.num_stages();
  hosts_.resize(static_cast<size_t>((ranks + ranks_per_host_ - 1) / ranks_per_host_),
                {SharedCores(model.cores)});
}

void SimulatedHosts::begin(int64_t rank, double work_s, EventKind end, int64_t subject,
                           double now) {
  if (hosts_.empty()) return queue_.add(now + work_s, end, subject);
  const int64_t host = rank / ranks_per_host_;
  hosts_[host].cores.begin(subject * kKinds + static_cast<int64_t>(end), work_s, now);
  expect_end(host);
}

void SimulatedHosts::expect_end(int64_t host) {
  Host& state = hosts_[host];
  ++state.version;
  if (!state.cores.is_idle())
    queue_.add(state.cores.next_end(), EventKind::kWorkEnd, host, state.version);
}

std::optional<Event> SimulatedHosts::end_work(const Event& event) {
  Host& host = hosts_[event.subject];
  if (host.version != event.version) return std::nullopt;
  const int64_t task = host.cores.finish(event.time);
  expect_end(event.subject);
  return Event{
      .time = event.time, .subject = task / kKinds, .kind = static_cast<EventKind>(task % kKinds)};
}

}  // namespace qtk::dist
