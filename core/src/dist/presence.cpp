#include "dist/presence.hpp"

#include "base/logging.hpp"
#include "base/median.hpp"
#include "dist/c10d_message.hpp"
#include "dist/elapsed.hpp"
#include "dist/launch/worker_board.hpp"

#include <qtk/runtime/error.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>

namespace qtk::dist {
namespace {

using nlohmann::json;

constexpr const char* kLostKey = "lost";
constexpr size_t kRemembered = 64;  // step durations behind the median

std::string key_of(int rank) { return "presence/" + std::to_string(rank); }

SignOfLife parse(const std::string& text) {
  const json content = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!content.is_object()) return {};
  return {.beat = content.value("beat", int64_t{0}),
          .step = content.value("step", int64_t{0}),
          .operation = content.value("operation", ""),
          .seconds = content.value("seconds", 0.0),
          .has_left = content.value("left", false)};
}

}  // namespace

Presence::Presence(const RunStore& store, const Mesh& mesh, const Timeouts& timeouts,
                   std::function<void(const std::string&)> on_lost)
    : mesh_(mesh),
      timeouts_(timeouts),
      on_lost_(std::move(on_lost)),
      store_(store.connect_again(timeouts.lost())),
      board_(WorkerBoard::inherited()),
      seen_(static_cast<size_t>(mesh.world()), Seen{{}, Clock::now()}) {
  thread_ = std::thread([this] { run(); });
}

Presence::~Presence() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  stop_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Presence::begin(std::string_view operation) {
  const std::lock_guard lock(mutex_);
  operation_ = operation;
  operation_since_ = Clock::now();
  if (board_) board_->begin(operation_, step_);
}

void Presence::set_step(int64_t step) {
  const std::lock_guard lock(mutex_);
  step_ = step;
  step_since_ = Clock::now();
  has_stepped_ = true;
}

void Presence::step_finished(Seconds duration) {
  const std::lock_guard lock(mutex_);
  durations_.push_back(duration.count());
  if (durations_.size() > kRemembered) durations_.erase(durations_.begin());
  has_stepped_ = false;  // until the next set_step(): evaluation and checkpoints are no steps
}

void Presence::run() {
  auto due = Clock::now();
  std::unique_lock lock(mutex_);
  while (!is_stopping_ && !has_lost_) {
    lock.unlock();
    try {
      if (board_) look_at_board();
      if (Clock::now() >= due) {
        publish(store_);
        due = Clock::now() + std::chrono::duration_cast<Clock::duration>(timeouts_.heartbeat);
      }
      look(store_);
      require_progress(store_);
    } catch (const std::exception& error) {
      const std::lock_guard again(mutex_);
      if (!is_stopping_ && !has_left_)
        lose(nullptr,
             mesh_.name_of(0) + ", who holds the store, cannot be reached: " + first_line(error));
    }
    lock.lock();
    stop_.wait_for(lock, timeouts_.heartbeat / 4, [this] { return is_stopping_; });
  }
}

/// The launcher of this machine knows at once when a process dies.
void Presence::look_at_board() {
  const std::lock_guard lock(mutex_);
  if (has_left_) return;
  board_->beat();
  if (const auto rank = board_->lost_rank(); rank && *rank != mesh_.rank)
    lose(nullptr, mesh_.name_of(*rank) + " is lost: its process died or hangs");
}

void Presence::publish(RunStore& store) {
  json sign;
  {
    const std::lock_guard lock(mutex_);
    sign = {{"beat", ++beat_},
            {"step", step_},
            {"operation", operation_},
            {"seconds", seconds_since(operation_since_)},
            {"left", has_left_}};
  }
  store.set(key_of(mesh_.rank), sign.dump());
}

std::vector<int> Presence::watched() const {
  if (mesh_.rank != 0) return {0};
  std::vector<int> ranks;
  for (int rank = 1; rank < mesh_.world(); ++rank) ranks.push_back(rank);
  return ranks;
}

void Presence::look(RunStore& store) {
  if (const auto why = store.find(kLostKey)) {
    const std::lock_guard lock(mutex_);
    report_loss(*why);
    return;
  }
  for (const int rank : watched()) look_at(store, rank);
}

void Presence::look_at(RunStore& store, int rank) {
  const auto text = store.find(key_of(rank));
  const std::lock_guard lock(mutex_);
  Seen& seen = seen_[static_cast<size_t>(rank)];
  if (text) {
    const SignOfLife sign = parse(*text);
    if (sign.beat != seen.sign.beat) seen = {sign, Clock::now()};
  }
  if (seen.sign.has_left || has_left_ || has_lost_ || is_stopping_) return;
  if (const double silence = seconds_since(seen.since); silence > timeouts_.lost().count())
    lose(&store, mesh_.name_of(rank) + " is lost: no sign of life for " + seconds_text(silence) +
                     "; last it was at step " + std::to_string(seen.sign.step) + ", " +
                     seen.sign.operation);
}

/// A step that takes many times the usual: some rank hangs although all are alive.
void Presence::require_progress(RunStore& store) {
  double limit = timeouts_.step_floor.count(), taken = 0;
  {
    const std::lock_guard lock(mutex_);
    if (!has_stepped_ || durations_.empty() || has_left_ || has_lost_) return;
    limit = std::max(limit, timeouts_.step_factor * median(durations_));
    taken = seconds_since(step_since_);
  }
  if (taken < limit) return;
  const std::string all = report();
  const std::lock_guard lock(mutex_);
  lose(&store, "step " + std::to_string(step_) + " hangs: it has taken " + seconds_text(taken) +
                   ", the limit is " + seconds_text(limit) + "\n" + all);
}

/// With the mutex held.
void Presence::lose(RunStore* store, const std::string& why) {
  std::string first = why;
  if (store) try {
      first = store->set_once(kLostKey, why);
    } catch (const std::exception&) {
      // The store is gone too; our own finding is all there is.
    }
  report_loss(first);
}

/// With the mutex held.
void Presence::report_loss(const std::string& why) {
  if (has_left_ || has_lost_) return;
  has_lost_ = true;
  on_lost_(why);
}

void Presence::fail(const std::string& why) noexcept {
  try {
    const std::lock_guard lock(mutex_);
    if (has_left_) return;
    has_left_ = true;
    store_.set_once(kLostKey, mesh_.name_of(mesh_.rank) + " stopped: " + why);
  } catch (const std::exception& error) {
    core_log().debug(std::string("the other ranks could not be told: ") + error.what());
  }
}

void Presence::leave() {
  {
    const std::lock_guard lock(mutex_);
    has_left_ = is_stopping_ = true;
  }
  stop_.notify_all();
  if (thread_.joinable()) thread_.join();
  if (board_) board_->leave();
  // Only now: a sign of life that the thread was about to write would take this one's place.
  publish(store_);
  if (mesh_.rank == 0) {
    // Whoever is left alone with a closed store would take it for a failure.
    const auto end = Clock::now() + std::chrono::duration_cast<Clock::duration>(timeouts_.lost());
    const auto all_have_left = [&] {
      for (const int rank : watched())
        if (const auto text = store_.find(key_of(rank)); !text || !parse(*text).has_left)
          return false;
      return true;
    };
    while (!all_have_left() && Clock::now() < end)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

std::string Presence::report() {
  std::string lines;
  for (int rank = 0; rank < mesh_.world(); ++rank) {
    SignOfLife sign;
    if (const auto text = store_.find(key_of(rank))) sign = parse(*text);
    lines += (lines.empty() ? "  " : "\n  ") + mesh_.name_of(rank) + ": step " +
             std::to_string(sign.step) + ", " + sign.operation + ", for " +
             seconds_text(sign.seconds);
  }
  return lines;
}

}  // namespace qtk::dist
