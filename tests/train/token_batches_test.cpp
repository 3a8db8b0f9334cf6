#include "train/token_batches.hpp"

#include "text/windows.hpp"

#include <qtk/runtime/error.hpp>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace qtk::train {
namespace {

at::Tensor tokens(int64_t first, int64_t count) {
  return at::arange(first, first + count, at::kInt);
}

TEST(TokenBatches, PackedWindowsPredictTheNextTokenOfTheStream) {
  const auto batches = TokenBatches::packed(tokens(0, 34), 8, 3);
  ASSERT_EQ(batches.windows(), 4);
  EXPECT_EQ(batches.predictions(0, 4), 32);

  const auto batch = batches.batch(0, 4);

  EXPECT_TRUE(at::equal(batch.targets, batch.inputs + 1));
  std::set<int64_t> firsts;
  for (int64_t row = 0; row < 4; ++row) firsts.insert(batch.inputs[row][0].item<int64_t>());
  EXPECT_EQ(firsts, (std::set<int64_t>{0, 8, 16, 24}));
}

TEST(TokenBatches, EveryEpochIsAPermutationOfItsOwn) {
  const auto batches = TokenBatches::packed(tokens(0, 401), 4, 3);
  std::vector<std::vector<int64_t>> epochs;
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    std::vector<int64_t> order;
    for (int64_t i = 0; i < 100; ++i)
      order.push_back(batches.batch(epoch * 100 + i, 1).inputs[0][0].item<int64_t>());
    EXPECT_EQ(std::set<int64_t>(order.begin(), order.end()).size(), 100u);
    epochs.push_back(order);
  }
  EXPECT_NE(epochs[0], epochs[1]);
  EXPECT_NE(epochs[0], epochs[2]);
  // A pure function of seed and position, across the border of epochs too.
  const auto again = TokenBatches::packed(tokens(0, 401), 4, 3);
  EXPECT_TRUE(at::equal(again.batch(198, 4).inputs, batches.batch(198, 4).inputs));
  EXPECT_FALSE(at::equal(TokenBatches::packed(tokens(0, 401), 4, 4).batch(0, 8).inputs,
                         batches.batch(0, 8).inputs));
}

TEST(TokenBatches, PaddedDocumentsBeginTheirOwnWindows) {
  const auto batches =
      TokenBatches::padded({tokens(0, 6), tokens(100, 3), tokens(200, 1)}, 4, 9, 1);
  ASSERT_EQ(batches.windows(), 3);  // four and one predictions of the first, two of the second
  EXPECT_EQ(batches.predictions(0, 3), 7);

  const auto batch = batches.batch(0, 3);

  std::map<int64_t, std::pair<at::Tensor, at::Tensor>> rows;
  for (int64_t row = 0; row < 3; ++row)
    rows[batch.inputs[row][0].item<int64_t>()] = {batch.inputs[row], batch.targets[row]};
  const auto expect = [&](int64_t key, std::vector<int64_t> inputs, std::vector<int64_t> targets) {
    EXPECT_TRUE(at::equal(rows.at(key).first, at::tensor(inputs, at::kLong))) << rows.at(key).first;
    EXPECT_TRUE(at::equal(rows.at(key).second, at::tensor(targets, at::kLong)));
  };
  const int64_t none = text::kUnscoredTarget;
  expect(0, {0, 1, 2, 3}, {1, 2, 3, 4});
  expect(4, {4, 9, 9, 9}, {5, none, none, none});
  expect(100, {100, 101, 9, 9}, {101, 102, none, none});
}

TEST(TokenBatches, TooLittleTextIsRefused) {
  EXPECT_THROW(TokenBatches::packed(tokens(0, 8), 8, 1), DataError);
  EXPECT_NO_THROW(TokenBatches::packed(tokens(0, 9), 8, 1));
  EXPECT_THROW(TokenBatches::padded({tokens(0, 1)}, 8, 0, 1), DataError);
}

TEST(TokenBatches, SamplesNameTheWindowsOfTheDataSet) {
  const auto batches = TokenBatches::packed(tokens(0, 41), 4, 3);  // window i begins with token 4 i
  ASSERT_EQ(batches.windows(), 10);

  for (const int64_t first : {0, 7, 15}) {  // the second and third reach into another epoch
    const auto samples = batches.samples(first, 8);
    const auto inputs = batches.batch(first, 8).inputs;
    ASSERT_EQ(samples.size(), 8u);
    for (int64_t row = 0; row < 8; ++row)
      EXPECT_EQ(inputs[row][0].item<int64_t>(), 4 * samples[static_cast<size_t>(row)]);
  }
  auto epoch = batches.samples(10, 10);
  std::ranges::sort(epoch);
  EXPECT_EQ(epoch, (std::vector<int64_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
}

}  // namespace
}  // namespace qtk::train
