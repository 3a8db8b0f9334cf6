#include "train/checkpoint.hpp"

#include "temporary_folder.hpp"

#include <qtk/runtime/error.hpp>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <iterator>
#include <limits>

namespace qtk::train {
namespace {

namespace fs = std::filesystem;

TrainState some_state(double value = 1) {
  TrainState state;
  ScopedWriter writer(state, "a");
  const auto shared = at::full({2, 3}, value);
  writer.tensor("x", shared);
  writer.tensor("bytes", at::arange(5, at::kByte));
  writer.integer("count", 7);
  writer.real("infinite", -std::numeric_limits<double>::infinity());
  writer.text("name", "q");
  ScopedWriter other(state, "b");
  other.tensor("x", shared);
  return state;
}

TEST(Checkpoint, ReadsWhatWasWritten) {
  const TemporaryFolder folder;
  CheckpointStore store(folder / "c", 3);
  store.save(5, some_state());

  const auto read = CheckpointStore(folder / "c", 3).newest();

  ASSERT_TRUE(read);
  EXPECT_EQ(read->step, 5);
  const ScopedReader a(read->state, "a"), b(read->state, "b");
  EXPECT_TRUE(at::equal(a.tensor("x"), at::ones({2, 3})));
  EXPECT_TRUE(at::equal(b.tensor("x"), at::ones({2, 3})));
  EXPECT_EQ(read->state.tensors.size(), 2u);  // x is one object and kept once
  EXPECT_TRUE(at::equal(a.tensor("bytes"), at::arange(5, at::kByte)));
  EXPECT_EQ(a.integer("count"), 7);
  EXPECT_EQ(a.real("infinite"), -std::numeric_limits<double>::infinity());
  EXPECT_EQ(a.text("name"), "q");
  EXPECT_TRUE(a.has("x"));
  EXPECT_FALSE(a.has("y"));
  EXPECT_THROW(a.tensor("y"), DataError);
  EXPECT_THROW(a.real("count"), DataError);
}

TEST(Checkpoint, KeepsTheNewestAndRemovesWhatAnInterruptedSaveLeft) {
  const TemporaryFolder folder;
  fs::create_directories(folder / "c/step-00000009.partial");
  CheckpointStore store(folder / "c", 2);
  EXPECT_FALSE(store.newest());
  EXPECT_FALSE(fs::exists(folder / "c/step-00000009.partial"));

  for (const int64_t step : {1, 2, 10}) store.save(step, some_state());

  EXPECT_FALSE(fs::exists(folder / "c/step-00000001"));
  EXPECT_TRUE(fs::exists(folder / "c/step-00000002/COMPLETE"));
  EXPECT_EQ(store.newest()->step, 10);
}

TEST(Checkpoint, EveryFlippedByteAndEveryCutIsSeen) {
  const TemporaryFolder folder;
  CheckpointStore store(folder / "c", 2);
  store.save(1, some_state());
  store.save(2, some_state(2));
  for (const auto& entry : fs::directory_iterator(folder / "c/step-00000002")) {
    SCOPED_TRACE(entry.path());
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string content{std::istreambuf_iterator<char>(file), {}};
    const auto write = [&](const std::string& changed) {
      std::ofstream(entry.path(), std::ios::binary) << changed;
      EXPECT_EQ(store.newest()->step, 1);
    };
    for (size_t at = 0; at < content.size(); at += 1 + content.size() / 40) {
      std::string changed = content;
      changed[at] = static_cast<char>(changed[at] ^ 4);
      write(changed);
      write(content.substr(0, at));
    }
    std::ofstream(entry.path(), std::ios::binary) << content;
    EXPECT_EQ(store.newest()->step, 2);
  }
}

}  // namespace
}  // namespace qtk::train
