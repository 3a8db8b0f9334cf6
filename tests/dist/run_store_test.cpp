#include "dist/run_store.hpp"

#include "ranks.hpp"

namespace qtk::dist {
namespace {

class RunStoreTest : public ::testing::Test {
 protected:
  LaunchEnvironment environment(bool listens) const {
    LaunchEnvironment found;
    found.rank = listens ? 0 : 1;
    found.world = 2;
    found.master_port = port_.number();
    found.run_id = "run";
    return found;
  }
  RunStore open(bool listens) const { return RunStore::open(environment(listens), Seconds(20)); }

  const ReservedPort port_;
};

TEST_F(RunStoreTest, OneReadsWhatTheOtherWrote) {
  RunStore first = open(true), second = open(false);
  const std::string bytes("a\0b\xff", 4);

  EXPECT_FALSE(second.find("key"));
  first.set("key", bytes);

  EXPECT_EQ(second.get("key", Seconds(20)), bytes);
  EXPECT_EQ(second.find("key"), bytes);
  first.set("key", "");
  EXPECT_EQ(second.find("key"), "");
}

TEST_F(RunStoreTest, SomeKeysMayBeMissing) {
  RunStore store = open(true);
  store.set("a", "1");
  store.set("c", "3");

  EXPECT_EQ(store.find_all({"a", "b", "c"}),
            (std::vector<std::optional<std::string>>{"1", std::nullopt, "3"}));
  EXPECT_EQ(store.find_all({"c", "a"}), (std::vector<std::optional<std::string>>{"3", "1"}));
  EXPECT_TRUE(store.find_all({}).empty());
}

TEST_F(RunStoreTest, TheFirstOfSeveralValuesStands) {
  RunStore first = open(true), second = open(false);

  EXPECT_EQ(first.set_once("lost", "rank 1"), "rank 1");
  EXPECT_EQ(second.set_once("lost", "rank 2"), "rank 1");
  EXPECT_EQ(first.find("lost"), "rank 1");
}

TEST_F(RunStoreTest, NumbersAddUp) {
  RunStore first = open(true), second = open(false);

  EXPECT_EQ(first.add("count", 2), 2);
  EXPECT_EQ(second.add("count", 3), 5);
}

TEST_F(RunStoreTest, WhatNobodyWritesIsWaitedForInVain) {
  RunStore store = open(true);
  try {
    store.get("key", Seconds(0.3));
    FAIL() << "there is no key";
  } catch (const Error& error) {
    EXPECT_TRUE(std::string(error.what()).starts_with("waited 0 s in vain for `key`: "))
        << error.what();
    EXPECT_EQ(error.code(), ExitCode::kPeerLost);
  }
}

TEST_F(RunStoreTest, AStoreThatGoesAwayEndsTheWaitAtOnce) {
  auto holder = std::make_unique<RunStore>(open(true));
  RunStore store = open(false);
  std::thread end([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    holder.reset();
  });

  const std::string sentence = sentence_of([&] { store.get("key", Seconds(3600)); });

  end.join();
  EXPECT_TRUE(contains(sentence, "in vain for `key`")) << sentence;
  EXPECT_FALSE(contains(sentence, "3600")) << sentence;
}

TEST_F(RunStoreTest, RankZeroThatIsNotThereIsNamed) {
  try {
    RunStore::open(environment(false), Seconds(0.3));
    FAIL() << "nobody listens";
  } catch (const Error& error) {
    EXPECT_TRUE(std::string(error.what())
                    .starts_with("rank 1 could not reach rank 0 at 127.0.0.1:" +
                                 std::to_string(port_.number()) + " within "))
        << error.what();
    EXPECT_EQ(error.code(), ExitCode::kPeerLost);
  }
}

TEST_F(RunStoreTest, APortThatIsTakenIsNamed) {
  const RunStore other = open(true);
  try {
    open(true);
    FAIL() << "two stores listen on one port";
  } catch (const Error& error) {
    EXPECT_TRUE(
        std::string(error.what())
            .starts_with("rank 0 cannot listen on 127.0.0.1:" + std::to_string(port_.number())))
        << error.what();
    EXPECT_EQ(error.code(), ExitCode::kEnvironment);
  }
}

}  // namespace
}  // namespace qtk::dist
