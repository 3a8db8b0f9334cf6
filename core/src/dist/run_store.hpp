// The key-value store through which the processes of a run find each other (c10d's TCPStore). Every
// attempt has keys of its own, so that a restarted run never meets its ghost.
#pragma once

#include "dist/launch/launch_environment.hpp"
#include "dist/timeouts.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace c10d {
class Store;
}

namespace qtk::dist {

/// Thread-safe. Values are bytes.
class RunStore {
 public:
  /// Rank 0 listens, unless an agent does; the others connect.
  /// @throws Error(kPeerLost) if rank 0 cannot be reached in time, Error(kEnvironment) if the port
  /// is taken
  static RunStore open(const LaunchEnvironment& environment, Seconds timeout);
  ~RunStore();
  RunStore(RunStore&&) noexcept;

  void set(const std::string& key, const std::string& value);
  /// Waits for the key. @throws Error(kPeerLost) when `timeout` is over
  std::string get(const std::string& key, Seconds timeout);
  /// Without waiting.
  std::optional<std::string> find(const std::string& key);
  /// Those that are there.
  std::vector<std::optional<std::string>> find_all(const std::vector<std::string>& keys);
  /// @returns the sum so far
  int64_t add(const std::string& key, int64_t value);
  /// Sets the key if nobody has; @returns the value that stands there now
  std::string set_once(const std::string& key, const std::string& value);
  /// A connection of its own, for another thread. Operations fail after `timeout`.
  RunStore connect_again(Seconds timeout) const;

  /// For c10d's own constructors; keys below `prefix`.
  struct Handle;
  const Handle& handle() const { return *handle_; }

 private:
  explicit RunStore(std::unique_ptr<Handle> handle);
  std::unique_ptr<Handle> handle_;
};

}  // namespace qtk::dist
