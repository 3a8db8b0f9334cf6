#include "dist/handshake.hpp"

#include "ranks.hpp"

namespace qtk::dist {
namespace {

constexpr Seconds kTimeout{20};

/// Calls `body` on all ranks of a mesh, each with a connection of its own.
RankFailures on_all(const Ranks& ranks, const std::function<void(RunStore&, const Mesh&)>& body) {
  return in_threads(ranks.world(), [&](int rank) {
    RunStore store = ranks.store();
    body(store, ranks.mesh(rank));
  });
}

RankFailures compared_facts(const std::vector<Facts>& facts) {
  const Ranks ranks(1, static_cast<int>(facts.size()));
  return on_all(ranks, [&](RunStore& store, const Mesh& mesh) {
    compare_facts(store, mesh, "start", facts[static_cast<size_t>(mesh.rank)], kTimeout);
  });
}

TEST(HandshakeTest, EveryDifferenceIsListedByName) {
  const Facts first = {{"a", "1"}, {"b", "2"}, {"c", "3"}};

  EXPECT_TRUE(differences(first, first, "rank 1").empty());
  EXPECT_EQ(differences(first, {{"a", "1"}, {"b", "5"}, {"d", "4"}}, "rank 1"),
            (std::vector<std::string>{"rank 1: b is `5`, rank 0 has `2`",
                                      "rank 1: c is absent, rank 0 has `3`",
                                      "rank 1: d is `4`, rank 0 has absent"}));
}

TEST(HandshakeTest, EqualFactsPass) {
  for (const auto& failure : compared_facts({{{"a", "1"}}, {{"a", "1"}}, {{"a", "1"}}}))
    EXPECT_FALSE(failure) << failure->sentence;
}

TEST(HandshakeTest, EveryRankHearsOfTheDifferencesOfAll) {
  const auto failures = compared_facts({{{"config.seed", "1"}, {"qtk.build", "ab"}},
                                        {{"config.seed", "2"}, {"qtk.build", "ab"}},
                                        {{"config.seed", "1"}, {"qtk.build", "cd"}}});

  for (const auto& failure : failures) {
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->code, ExitCode::kEnvironment);
    EXPECT_FALSE(failure->is_config_error);
    EXPECT_EQ(failure->sentence,
              "the processes differ in 2 things:\n"
              "   rank 1 (stage 1): config.seed is `2`, rank 0 has `1`\n"
              "   rank 2 (stage 2): qtk.build is `cd`, rank 0 has `ab`");
  }
}

TEST(HandshakeTest, WhereOnlyTheConfigurationDiffersItIsToBlame) {
  for (const auto& failure : compared_facts({{{"config.seed", "1"}}, {{"config.seed", "2"}}})) {
    ASSERT_TRUE(failure);
    EXPECT_TRUE(failure->is_config_error);
    EXPECT_TRUE(contains(failure->sentence, "the processes differ in 1 thing:"));
  }
}

TEST(HandshakeTest, ALongListOfDifferencesIsCutAndCounted) {
  Facts many;
  for (int i = 0; i < 30; ++i) many["key" + std::to_string(i)] = "x";
  const auto failures = compared_facts({many, {}});

  ASSERT_TRUE(failures[1]);
  EXPECT_TRUE(contains(failures[1]->sentence, "differ in 30 things"));
  EXPECT_TRUE(contains(failures[1]->sentence, "and 6 more"));
}

TEST(HandshakeTest, AllRanksThatComeMeet) {
  const Ranks ranks(1, 3);
  const auto failures = on_all(ranks, [&](RunStore& store, const Mesh& mesh) {
    introduce(store, mesh, "host " + std::to_string(mesh.rank), kTimeout);
  });

  for (const auto& failure : failures) EXPECT_FALSE(failure) << failure->sentence;
}

TEST(HandshakeTest, ARankThatAppearsTwiceIsRefused) {
  const Ranks ranks(1, 1);
  RunStore store = ranks.store();
  introduce(store, ranks.mesh(0), "host a, pid 1", kTimeout);
  try {
    introduce(store, ranks.mesh(0), "host b, pid 2", kTimeout);
    FAIL() << "two processes are rank 0";
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()),
              "rank 0 appeared twice: here as host b, pid 2, before as host a, pid 1");
    EXPECT_EQ(error.code(), ExitCode::kEnvironment);
  }
}

TEST(HandshakeTest, RanksThatDoNotComeAreNamed) {
  const Ranks ranks(1, 4);
  const auto failures = in_threads(2, [&](int i) {
    RunStore store = ranks.store();
    introduce(store, ranks.mesh(2 * i), "host", Seconds(0.3));
  });

  for (const auto& failure : failures) {
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->code, ExitCode::kPeerLost);
    EXPECT_TRUE(failure->sentence.starts_with("of 4 processes, ranks 1, 3 did not appear within "))
        << failure->sentence;
  }
}

TEST(HandshakeTest, BothEndsOfALinkThatDoesNotFitAreNamed) {
  const Ranks ranks(1, 3);
  const auto failures = on_all(ranks, [&](RunStore& store, const Mesh& mesh) {
    std::vector<LinkFact> facts;
    if (mesh.rank == 0) facts = {{"forward 0->1", true, "tah {} f32 [1, 2, 3]"}};
    if (mesh.rank == 1)
      facts = {{"forward 0->1", false, "none {} f32 [1, 2, 3]"}, {"forward 1->2", true, "x"}};
    if (mesh.rank == 2) facts = {{"forward 1->2", false, "x"}, {"forward 2->3", true, "x"}};
    compare_links(store, mesh, "links", facts, kTimeout);
  });

  for (const auto& failure : failures) {
    ASSERT_TRUE(failure);
    EXPECT_TRUE(failure->is_config_error);
    EXPECT_TRUE(contains(failure->sentence,
                         "link forward 0->1: rank 0 (stage 0) sends tah {} f32 [1, 2, 3], "
                         "rank 1 (stage 1) expects none {} f32 [1, 2, 3]"))
        << failure->sentence;
    EXPECT_TRUE(contains(failure->sentence,
                         "link forward 2->3: rank 2 (stage 2) sends x, nobody expects nothing"));
    EXPECT_FALSE(contains(failure->sentence, "1->2"));
  }
}

TEST(HandshakeTest, LinksThatFitPass) {
  const Ranks ranks(1, 2);
  const auto failures = on_all(ranks, [&](RunStore& store, const Mesh& mesh) {
    compare_links(store, mesh, "links", {{"forward 0->1", mesh.rank == 0, "x"}}, kTimeout);
  });

  for (const auto& failure : failures) EXPECT_FALSE(failure) << failure->sentence;
}

}  // namespace
}  // namespace qtk::dist
