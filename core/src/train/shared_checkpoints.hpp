// Checkpoints that many processes write together: everybody its part, then rank 0 commits. A
// process that is cut off from the others never commits one.
#pragma once

#include "dist/world.hpp"
#include "train/checkpoint.hpp"

#include <filesystem>
#include <string>

namespace qtk::train {

class SharedCheckpoints final : public Checkpoints {
 public:
  /// @param folder           on a file system that all processes share
  /// @param shares_optimizer  every replica keeps moments of its own
  SharedCheckpoints(std::filesystem::path folder, int64_t keep, dist::World& world,
                    bool shares_optimizer);

  /// Call on all processes. What other replicas hold as well is written by the first one.
  void save(int64_t step, const TrainState& state) override;
  /// The one that rank 0 finds; the same on all processes. At most once per object.
  std::optional<Checkpoint> newest() override;
  std::string last_good() const override { return store_.last_good(); }
  /// Of one process alone. @throws DataError
  Checkpoint read(int64_t step) { return store_.read(step); }

 private:
  TrainState own_part(const TrainState& state) const;

  const std::filesystem::path folder_;
  CheckpointStore store_;
  dist::World& world_;
  const bool shares_optimizer_;
};

}  // namespace qtk::train
