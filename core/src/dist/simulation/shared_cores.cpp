#include "dist/simulation/shared_cores.hpp"

#include <qtk/runtime/check.hpp>

#include <algorithm>
#include <limits>

namespace qtk::dist {

SharedCores::SharedCores(int64_t cores) : cores_(static_cast<double>(cores)) {
  QTK_CHECK(cores >= 1, "a host with ", cores, " cores");
}

double SharedCores::speed() const {
  return std::min(1.0, cores_ / static_cast<double>(tasks_.size()));
}

void SharedCores::advance(double now) {
  if (!tasks_.empty()) work_ += (now - updated_) * speed();
  updated_ = now;
}

void SharedCores::begin(int64_t task, double work_s, double now) {
  advance(now);
  tasks_.push_back({work_ + work_s, task});
}

std::vector<SharedCores::Task>::const_iterator SharedCores::first() const {
  return std::ranges::min_element(tasks_, {}, &Task::end_work);
}

double SharedCores::next_end() const {
  if (tasks_.empty()) return std::numeric_limits<double>::infinity();
  return updated_ + std::max(0.0, first()->end_work - work_) / speed();
}

int64_t SharedCores::finish(double now) {
  QTK_CHECK(!tasks_.empty(), "no task is at work");
  advance(now);
  const auto done = first();
  const int64_t task = done->id;
  tasks_.erase(done);
  return task;
}

}  // namespace qtk::dist
