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

TrainState part_of(const std::string& prefix, double value) {
  TrainState state;
  ScopedWriter writer(state, prefix);
  writer.tensor("x", at::full({4}, value));
  writer.integer("count", static_cast<int64_t>(value));
  return state;
}

TEST(Checkpoint, PartsOfSeveralProcessesAreOneState) {
  const TemporaryFolder folder;
  CheckpointStore store(folder / "c", 2), other(folder / "c", 2);
  store.begin(4);
  other.write_part(4, 1, part_of("b", 2));
  store.write_part(4, 0, part_of("a", 1));
  EXPECT_FALSE(fs::exists(folder / "c/step-00000004"));
  store.commit(4, 2);

  EXPECT_EQ(store.last_good(), (folder / "c/step-00000004").string());
  for (const auto& read : {*CheckpointStore(folder / "c", 2).newest(), other.read(4)}) {
    EXPECT_EQ(read.step, 4);
    for (const auto& [prefix, value] : {std::pair<const char*, int>{"a", 1}, {"b", 2}}) {
      const ScopedReader reader(read.state, prefix);
      EXPECT_TRUE(at::equal(reader.tensor("x"), at::full({4}, static_cast<float>(value))));
      EXPECT_EQ(reader.integer("count"), value);
    }
  }
}

TEST(Checkpoint, WhatTwoPartsHoldIsTakenFromTheFirst) {
  TrainState state = part_of("a", 1);

  state.merge(part_of("a", 7));
  state.merge(part_of("b", 2));

  EXPECT_TRUE(at::equal(ScopedReader(state, "a").tensor("x"), at::ones({4})));
  EXPECT_EQ(ScopedReader(state, "a").integer("count"), 1);
  EXPECT_EQ(ScopedReader(state, "b").integer("count"), 2);
  EXPECT_EQ(state.names_from("b"), (std::vector<std::string>{"b/x"}));
}

TEST(Checkpoint, IsNotCommittedWithoutAllParts) {
  const TemporaryFolder folder;
  CheckpointStore store(folder / "c", 2);
  store.save(1, some_state());
  store.begin(2);
  store.write_part(2, 0, part_of("a", 1));

  try {
    store.commit(2, 2);
    FAIL() << "a checkpoint without its second part was committed";
  } catch (const IoError& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("the checkpoint of step 2 could not be written: "), text.npos) << text;
    EXPECT_NE(text.find("state-1.safetensors"), text.npos) << text;
    EXPECT_NE(error.remedy().find("step-00000001 is intact"), std::string::npos) << error.remedy();
  }
  EXPECT_FALSE(fs::exists(folder / "c/step-00000002"));
  EXPECT_FALSE(fs::exists(folder / "c/step-00000002.partial"));
  EXPECT_EQ(store.newest()->step, 1);
}

TEST(Checkpoint, DamageToAnyPartIsFound) {
  const TemporaryFolder folder;
  CheckpointStore store(folder / "c", 2);
  store.save(1, some_state());
  store.begin(2);
  for (const int part : {0, 1}) store.write_part(2, part, part_of("a" + std::to_string(part), 3));
  store.commit(2, 2);
  for (const char* name : {"state-1.safetensors", "state-1.json"}) {
    SCOPED_TRACE(name);
    const fs::path path = folder / "c/step-00000002" / name;
    std::ifstream file(path, std::ios::binary);
    const std::string content{std::istreambuf_iterator<char>(file), {}};
    std::string changed = content;
    changed.back() = static_cast<char>(changed.back() ^ 1);
    std::ofstream(path, std::ios::binary) << changed;
    EXPECT_EQ(store.newest()->step, 1);
    EXPECT_THROW(store.read(2), DataError);
    fs::remove(path);
    EXPECT_EQ(store.newest()->step, 1);
    EXPECT_THROW(store.read(2), DataError);
    std::ofstream(path, std::ios::binary) << content;
    EXPECT_EQ(store.newest()->step, 2);
  }
}

TEST(Checkpoint, ASaveBeginsWithoutWhatAnEarlierOneLeft) {
  const TemporaryFolder folder;
  CheckpointStore store(folder / "c", 2);
  store.begin(3);
  store.write_part(3, 1, part_of("old", 1));

  store.save(3, part_of("a", 1));

  EXPECT_FALSE(fs::exists(folder / "c/step-00000003/state-1.json"));
}

}  // namespace
}  // namespace qtk::train
