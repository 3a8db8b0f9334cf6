// The ranks of a run as threads of this process, connected over the loopback interface. They meet
// in a store that the object holds, as with torchrun, so nobody waits for rank 0 to listen.
#pragma once

#include "dist/launch/reserved_port.hpp"
#include "dist/world.hpp"

#include <qtk/runtime/error.hpp>

#include <gtest/gtest.h>

#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace qtk::dist {

/// c10d looks up the names of all addresses; a machine whose name server is slow must not look like
/// a lost rank. Before anything else, because the resolver reads it once.
inline const int kAsksNoNameServer = ::setenv("RES_OPTIONS", "attempts:0", /*overwrite=*/1);

/// c10d keeps one record of collectives per process, which is not made for ranks that are threads.
inline const int kKeepsNoRecord = ::setenv("TORCH_FR_BUFFER_SIZE", "0", /*overwrite=*/1);

/// Patient: a machine that compiles meanwhile must not look like a lost rank.
inline Timeouts patient_timeouts() {
  return {.heartbeat = Seconds(0.2),
          .missed = 100,
          .operation = Seconds(30),
          .rendezvous = Seconds(30)};
}

/// What ranks were told of lost ones. Shared with threads that may outlive a test.
class LossLog {
 public:
  void add(int rank, const std::string& sentence) {
    const std::lock_guard lock(mutex_);
    entries_.emplace_back(rank, sentence);
    changed_.notify_all();
  }
  std::vector<std::string> of(int rank) const {
    const std::lock_guard lock(mutex_);
    return of_locked(rank);
  }
  /// The first sentence of a rank, which may take a while; "" if none came.
  std::string await(int rank) const {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::seconds(20), [&] { return !of_locked(rank).empty(); });
    const auto sentences = of_locked(rank);
    return sentences.empty() ? "" : sentences.front();
  }

 private:
  std::vector<std::string> of_locked(int rank) const {
    std::vector<std::string> sentences;
    for (const auto& [of, sentence] : entries_)
      if (of == rank) sentences.push_back(sentence);
    return sentences;
  }
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::vector<std::pair<int, std::string>> entries_;
};

/// How a rank ended that threw an error.
struct RankFailure {
  std::string sentence;
  ExitCode code = ExitCode::kFailed;
  bool is_config_error = false;
};

using RankFailures = std::vector<std::optional<RankFailure>>;  // by rank; nothing: it returned

/// Calls `body` for 0 ... count - 1 in threads of their own.
inline RankFailures in_threads(int count, const std::function<void(int)>& body) {
  RankFailures failures(static_cast<size_t>(count));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < count; ++rank)
    threads.emplace_back([&, rank] {
      auto& failure = failures[static_cast<size_t>(rank)];
      try {
        body(rank);
      } catch (const ConfigError& error) {
        failure = RankFailure{error.what(), error.code(), true};
      } catch (const Error& error) {
        failure = RankFailure{error.what(), error.code(), false};
      } catch (const std::exception& error) {
        failure = RankFailure{error.what(), ExitCode::kFailed, false};
      }
    });
  for (auto& thread : threads) thread.join();
  return failures;
}

class Ranks {
 public:
  Ranks(int replicas, int stages, Timeouts timeouts = patient_timeouts())
      : replicas_(replicas), stages_(stages), timeouts_(timeouts) {}

  int world() const { return replicas_ * stages_; }
  const Timeouts& timeouts() const { return timeouts_; }
  LossLog& losses() { return *losses_; }
  Mesh mesh(int rank) const { return {replicas_, stages_, rank}; }

  LaunchEnvironment environment(int rank) const {
    LaunchEnvironment found;
    found.source = "a test";
    found.variables = "none";
    found.rank = found.local_rank = rank;
    found.world = found.local_world = world();
    found.master_port = port_.number();
    found.run_id = "test";
    found.agent_hosts_store = true;
    return found;
  }
  /// A connection to the store of these ranks.
  RunStore store() const { return store_.connect_again(timeouts_.rendezvous); }
  WorldSetup setup(int rank) const {
    return {.environment = environment(rank),
            .replicas = replicas_,
            .stages = stages_,
            .timeouts = timeouts_,
            .interface = "",
            .on_lost = [losses = losses_, rank](const std::string& sentence) {
              losses->add(rank, sentence);
            }};
  }

  /// Every rank joins, as in another attempt of the run, opens its groups on the CPU, does `body`
  /// and leaves in order.
  RankFailures try_run(const std::function<void(World&)>& body) const {
    const int attempt = attempts_++;
    return in_threads(world(), [&](int rank) {
      WorldSetup own = setup(rank);
      own.environment.attempt = attempt;
      const auto joined = World::join(std::move(own));
      joined->open_groups(c10::kCPU);
      try {
        body(*joined);
        joined->close();
      } catch (...) {
        joined->abandon();
        throw;
      }
    });
  }
  /// As try_run() where nobody may fail.
  void run(const std::function<void(World&)>& body) const {
    const auto failures = try_run(body);
    for (size_t rank = 0; rank < failures.size(); ++rank)
      if (failures[rank]) ADD_FAILURE() << "rank " << rank << ": " << failures[rank]->sentence;
  }

 private:
  LaunchEnvironment host() const {
    LaunchEnvironment found = environment(0);
    found.agent_hosts_store = false;
    return found;
  }

  const int replicas_, stages_;
  const Timeouts timeouts_;
  const std::shared_ptr<LossLog> losses_ = std::make_shared<LossLog>();
  const ReservedPort port_;
  mutable int attempts_ = 0;
  RunStore store_ = RunStore::open(host(), timeouts_.rendezvous);
};

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != text.npos;
}

/// The sentence of an error that `body` throws; "" if it throws none.
template <class Body>
std::string sentence_of(const Body& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace qtk::dist
