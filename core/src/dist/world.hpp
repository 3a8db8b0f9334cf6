// The processes of a run together: store, signs of life, and the groups over which they talk.
#pragma once

#include "dist/handshake.hpp"
#include "dist/launch/launch_environment.hpp"
#include "dist/mesh.hpp"
#include "dist/presence.hpp"
#include "dist/process_group.hpp"
#include "dist/run_store.hpp"
#include "dist/timeouts.hpp"

#include <functional>
#include <memory>
#include <string>

namespace qtk::dist {

struct WorldSetup {
  LaunchEnvironment environment;
  int replicas = 1, stages = 1;
  Timeouts timeouts;
  std::string interface;
  /// Called from another thread with a sentence when a rank is lost; must end the process. Empty:
  /// logs it and ends with exit code 76.
  std::function<void(const std::string&)> on_lost;
};

/// Made in the same order on all ranks. After an error it is left as it is: nobody waits for peers
/// that may be gone, and the process ends.
class World {
 public:
  /// Meets the other processes. @throws ConfigError if their number is not replicas x stages,
  /// Error(kPeerLost), Error(kEnvironment)
  static std::unique_ptr<World> join(WorldSetup setup);
  ~World();

  const Mesh& mesh() const { return mesh_; }
  bool is_chief() const { return mesh_.rank == 0; }
  const LaunchEnvironment& environment() const { return setup_.environment; }
  const Timeouts& timeouts() const { return setup_.timeouts; }
  RunStore& store() { return store_; }
  Presence& presence() { return *presence_; }

  /// The device of this process, once it is known: opens the groups that carry tensors.
  void open_groups(c10::Device device);
  ProcessGroup& control() { return *control_; }      // all ranks, host tensors
  ProcessGroup& everybody() { return *everybody_; }  // all ranks, device tensors
  ProcessGroup& forward() { return *forward_; }      // the own pipeline, activations
  ProcessGroup& backward() { return *backward_; }    // the own pipeline, gradients
  ProcessGroup& replicas() { return *replicas_; }    // ranks with the same layers
  ProcessGroup& ends() { return *ends_; }  // first and last stage; only there, null elsewhere

  /// Tells the operation that begins, for reports of other ranks and of the launcher.
  void begin(const std::string& operation) { presence_->begin(operation); }
  /// The value of rank 0. Call on all ranks in the same order.
  std::string from_chief(const std::string& name, const std::function<std::string()>& make);
  /// The largest number anybody gives; the same on all ranks. Also compares how many collectives
  /// everybody has taken part in. @throws Error(kPeerLost) naming who missed one
  int64_t agree_on_largest(int64_t own);
  /// Everybody is here.
  void meet(const std::string& name);
  /// The orderly end. Without it groups are left alone on purpose.
  void close();
  /// This process ends for a reason of its own: the others are told and end too.
  void fail(const std::string& why) noexcept;
  /// All processes end at this point for the same reason, so nobody is told.
  void abandon() noexcept;

 private:
  void connect_links(c10::Device device);
  World(WorldSetup setup, Mesh mesh, RunStore store);
  std::unique_ptr<ProcessGroup> group(const std::string& name, std::vector<int> members,
                                      c10::Device device);

  const WorldSetup setup_;
  const Mesh mesh_;
  RunStore store_;
  std::unique_ptr<Presence> presence_;
  std::unique_ptr<ProcessGroup> control_, everybody_, forward_, backward_, replicas_, ends_;
  bool is_closed_ = false;
};

}  // namespace qtk::dist
