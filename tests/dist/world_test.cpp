#include "dist/world.hpp"

#include "ranks.hpp"

namespace qtk::dist {
namespace {

TEST(WorldTest, AnotherNumberOfProcessesThanTheConfigurationAsksForIsRefused) {
  const Ranks ranks(1, 2);
  WorldSetup setup = ranks.setup(0);
  setup.replicas = 3;

  EXPECT_EQ(sentence_of([&] { World::join(setup); }),
            "parallel: data 3 x pipeline 2 needs 6 processes, this is rank 0 of 2 from a test "
            "(none)");
}

TEST(WorldTest, WhatRankZeroSaysIsSaidToAll) {
  const Ranks ranks(1, 3);
  std::atomic<int> asked = 0;
  ranks.run([&](World& world) {
    const std::string name = world.from_chief("name", [&] {
      ++asked;
      return "of rank " + std::to_string(world.mesh().rank);
    });
    EXPECT_EQ(name, "of rank 0");
    EXPECT_EQ(world.is_chief(), world.mesh().rank == 0);
    world.meet("a place");
  });
  EXPECT_EQ(asked, 1);
}

TEST(WorldTest, RankZeroHoldsTheStoreItself) {
  const ReservedPort port;
  const Ranks elsewhere(1, 2);
  const auto failures = in_threads(2, [&](int rank) {
    WorldSetup setup = elsewhere.setup(rank);
    setup.environment.master_port = port.number();
    setup.environment.agent_hosts_store = false;
    const auto world = World::join(setup);
    world->meet("a place");
    world->close();
  });

  for (const auto& failure : failures) EXPECT_FALSE(failure) << failure->sentence;
}

TEST(WorldTest, AnAttemptNeverMeetsTheKeysOfTheOneBefore) {
  const Ranks ranks(1, 1);
  auto environment = ranks.environment(0);
  RunStore first = RunStore::open(environment, Seconds(20));
  environment.attempt = 1;
  RunStore second = RunStore::open(environment, Seconds(20));

  first.set("key", "of the first");

  EXPECT_FALSE(second.find("key"));
  EXPECT_EQ(first.find("key"), "of the first");
}

TEST(WorldTest, TheReasonOfARankThatFailsReachesTheOthers) {
  auto timeouts = patient_timeouts();
  timeouts.heartbeat = Seconds(0.05);
  timeouts.missed = 200;
  Ranks ranks(1, 2, timeouts);
  const auto failures = ranks.try_run([&](World& world) {
    if (world.mesh().rank == 1) {
      world.fail("no space left");
      throw Error("no space left");
    }
    EXPECT_EQ(ranks.losses().await(0), "rank 1 (stage 1) stopped: no space left");
    throw Error("rank 1 is lost");
  });

  EXPECT_TRUE(failures[0] && failures[1]);
  EXPECT_TRUE(ranks.losses().of(1).empty());
}

TEST(WorldTest, OnlyTheEndsOfAPipelineHaveAGroupOfTheirOwn) {
  const Ranks ranks(1, 3);
  ranks.run([](World& world) {
    EXPECT_EQ(world.forward().size(), 3);
    EXPECT_EQ(world.replicas().size(), 1);
    if (world.mesh().stage() == 1) return;  // has none
    EXPECT_EQ(world.ends().size(), 2);
  });
}

TEST(MeshTest, RanksCountStagesOfOneReplicaBeforeTheNext) {
  const Mesh mesh{.replicas = 2, .stages = 3, .rank = 4};

  EXPECT_EQ(mesh.world(), 6);
  EXPECT_EQ(mesh.replica(), 1);
  EXPECT_EQ(mesh.stage(), 1);
  EXPECT_FALSE(mesh.is_first() || mesh.is_last());
  EXPECT_EQ(mesh.pipeline_ranks(), (std::vector<int>{3, 4, 5}));
  EXPECT_EQ(mesh.replica_ranks(), (std::vector<int>{1, 4}));
  EXPECT_EQ(mesh.all_ranks(), (std::vector<int>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(mesh.name_of(5), "rank 5 (replica 1, stage 2)");
  EXPECT_EQ((Mesh{1, 2, 0}.name_of(1)), "rank 1 (stage 1)");
}

}  // namespace
}  // namespace qtk::dist
