#include "train/shared_checkpoints.hpp"

#include "dist/ranks.hpp"
#include "temporary_folder.hpp"

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

#include <fstream>

namespace qtk::train {
namespace {

namespace fs = std::filesystem;
using dist::Mesh;
using dist::Ranks;
using dist::World;

std::string stage_name(const Mesh& mesh) { return "layer" + std::to_string(mesh.stage()); }

/// What a rank of a training has: its layers, which its replicas hold as well, moments, and its
/// own end of a link.
TrainState state_of(const Mesh& mesh, double value) {
  TrainState state;
  state.put("tensors/" + stage_name(mesh), at::full({2}, value + mesh.stage()));
  state.put("optimizer/" + stage_name(mesh) + "/of" + std::to_string(mesh.replica()),
            at::full({2}, value));
  state.put("links/" + std::to_string(mesh.rank), at::full({2}, value + 10 * mesh.rank));
  state.values["layers/" + stage_name(mesh) + "/steps"] = value;
  if (mesh.rank == 0) state.values["trainer/step"] = value;
  return state;
}

void save_on_all(const Ranks& ranks, const fs::path& folder, bool shares_optimizer,
                 const std::vector<int64_t>& steps) {
  ranks.run([&](World& world) {
    SharedCheckpoints checkpoints(folder, /*keep=*/2, world, shares_optimizer);
    for (const int64_t step : steps)
      checkpoints.save(step, state_of(world.mesh(), static_cast<double>(step)));
  });
}

TEST(SharedCheckpointsTest, EveryRankReadsWhatAllHaveWritten) {
  const TemporaryFolder folder;
  const Ranks ranks(2, 2);
  save_on_all(ranks, folder / "c", /*shares_optimizer=*/true, {1, 5});

  const Ranks others(1, 3);  // as many as there are now may read it
  others.run([&](World& world) {
    SharedCheckpoints checkpoints(folder / "c", 2, world, true);
    const auto found = checkpoints.newest();
    ASSERT_TRUE(found);
    EXPECT_EQ(found->step, 5);
    for (int rank = 0; rank < 4; ++rank) {
      const Mesh mesh = ranks.mesh(rank);
      const TrainState expected = state_of(mesh, 5);
      for (const auto& [name, tensor] : expected.tensors)
        EXPECT_TRUE(at::equal(found->state.tensor(name), tensor)) << name;
      for (const auto& [name, value] : expected.values.items())
        EXPECT_EQ(found->state.values.value(name, -1.0), value.get<double>()) << name;
    }
  });
}

TEST(SharedCheckpointsTest, WhatReplicasHoldInCommonIsWrittenOnce) {
  const TemporaryFolder folder;
  const Ranks ranks(2, 1);
  for (const bool shares_optimizer : {false, true}) {
    const fs::path at = folder / (shares_optimizer ? "shared" : "copied");
    save_on_all(ranks, at, shares_optimizer, {1});
    CheckpointStore store(at, 2);
    const auto found = store.newest();
    ASSERT_TRUE(found);
    EXPECT_EQ(found->state.has_tensor("optimizer/layer0/of1"), shares_optimizer);
    std::ifstream file(at / "step-00000001/state-1.json");
    const auto second = nlohmann::json::parse(file);
    EXPECT_TRUE(second.at("values").empty()) << second;
    const auto size = [&](const char* name) { return fs::file_size(at / "step-00000001" / name); };
    EXPECT_LT(size("state-1.safetensors"), size("state.safetensors"));
  }
}

TEST(SharedCheckpointsTest, AllTakeTheOneThatRankZeroFindsSound) {
  const TemporaryFolder folder;
  const Ranks ranks(1, 2);
  save_on_all(ranks, folder / "c", false, {1, 2});
  std::ofstream(folder / "c/step-00000002/state-1.json", std::ios::app) << " ";

  ranks.run([&](World& world) {
    const auto found = SharedCheckpoints(folder / "c", 2, world, false).newest();
    ASSERT_TRUE(found);
    EXPECT_EQ(found->step, 1);
  });
}

TEST(SharedCheckpointsTest, NoneIsNoneForAll) {
  const TemporaryFolder folder;
  const Ranks ranks(1, 2);
  ranks.run([&](World& world) {
    EXPECT_FALSE(SharedCheckpoints(folder / "c", 2, world, false).newest());
  });
}

TEST(SharedCheckpointsTest, ARankThatFailsLeavesNoCheckpoint) {
  const TemporaryFolder folder;
  auto timeouts = dist::patient_timeouts();
  timeouts.operation = dist::Seconds(1.5);
  const Ranks ranks(1, 2, timeouts);
  const auto failures = ranks.try_run([&](World& world) {
    SharedCheckpoints checkpoints(folder / "c", 2, world, false);
    checkpoints.save(1, state_of(world.mesh(), 1));
    if (world.mesh().rank == 1) throw Error("cut off");
    checkpoints.save(2, state_of(world.mesh(), 2));
  });

  EXPECT_TRUE(failures[0] && failures[1]);
  EXPECT_EQ(failures[0]->code, ExitCode::kPeerLost);
  EXPECT_FALSE(fs::exists(folder / "c/step-00000002"));
  EXPECT_EQ(CheckpointStore(folder / "c", 2).newest()->step, 1);
}

}  // namespace
}  // namespace qtk::train
