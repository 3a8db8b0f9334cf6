#include "text/windows.hpp"

#include <qtk/runtime/error.hpp>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace qtk::text {
namespace {

at::Tensor rows(const std::vector<std::vector<int64_t>>& values) {
  std::vector<at::Tensor> tensors;
  for (const auto& row : values) tensors.push_back(at::tensor(row, at::kLong));
  return at::stack(tensors);
}

TEST(TokenWindows, DropTheTailThatDoesNotFillOne) {
  const TokenWindows windows(at::arange(11, at::kInt), 4);

  EXPECT_EQ(windows.count(), 2);
  EXPECT_EQ(windows.range(1), (TokenRange{4, 8}));
  EXPECT_TRUE(windows.batch(0, 5).equal(rows({{0, 1, 2, 3}, {4, 5, 6, 7}})));
  EXPECT_EQ(windows.batch(0, 5).scalar_type(), at::kLong);
  EXPECT_EQ(TokenWindows(at::arange(3, at::kInt), 4).count(), 0);
}

TEST(TokenWindows, GiveAnyOrder) {
  const TokenWindows windows(at::arange(6, at::kShort), 2);
  const std::vector<int64_t> order = {2, 0, 2};

  EXPECT_TRUE(windows.gather(order).equal(rows({{4, 5}, {0, 1}, {4, 5}})));
  EXPECT_TRUE(windows.batch(1, 1).equal(rows({{2, 3}})));
}

TEST(TokenWindows, RefuseWhatIsNotAStreamOfIds) {
  EXPECT_THROW(TokenWindows(at::zeros({4}), 2), Error);
  EXPECT_THROW(TokenWindows(at::zeros({2, 2}, at::kInt), 2), Error);
  EXPECT_THROW(TokenWindows(at::arange(4, at::kInt), 0), Error);
  EXPECT_THROW(TokenWindows(at::arange(4, at::kInt), 2).range(2), Error);
  EXPECT_THROW(TokenWindows(at::arange(4, at::kInt), 2).gather(std::vector<int64_t>{2}), Error);
}

TEST(IdTensor, IsACopy) {
  std::vector<int32_t> ids = {3, 1};
  const auto tensor = id_tensor(ids);
  ids[0] = 9;

  EXPECT_TRUE(tensor.equal(at::tensor({3, 1}, at::kInt)));
}

// The example in the harness' own tests (get_rolling_token_windows, prefix -100, windows of 4,
// context 1): inputs and the tokens they predict.
TEST(RollingWindows, AreThoseOfTheHarness) {
  const RollingWindows rolling(at::arange(10, at::kInt), 99, 4);

  EXPECT_EQ(rolling.windows(),
            (std::vector<RollingWindow>{{{-1, 3}, 0}, {{3, 7}, 4}, {{5, 9}, 8}}));
  const auto [inputs, targets] = rolling.batch(0, 10);
  EXPECT_TRUE(inputs.equal(rows({{99, 0, 1, 2}, {3, 4, 5, 6}, {5, 6, 7, 8}})));
  EXPECT_TRUE(targets.equal(rows({{0, 1, 2, 3}, {4, 5, 6, 7}, {-100, -100, 8, 9}})));
}

TEST(RollingWindows, MoreContextMovesTheWindowsCloserTogether) {
  const RollingWindows rolling(at::arange(9, at::kInt), 99, 4, 3);

  const auto [inputs, targets] = rolling.batch(0, 10);
  EXPECT_TRUE(inputs.equal(rows({{99, 0, 1, 2}, {1, 2, 3, 4}, {3, 4, 5, 6}, {4, 5, 6, 7}})));
  EXPECT_TRUE(targets.equal(
      rows({{0, 1, 2, 3}, {-100, -100, 4, 5}, {-100, -100, 6, 7}, {-100, -100, -100, 8}})));
}

TEST(RollingWindows, PredictEveryTokenOnce) {
  for (int64_t count = 0; count < 30; ++count) {
    for (int64_t length = 1; length < 8; ++length) {
      for (int64_t context = 1; context <= length; ++context) {
        const RollingWindows rolling(at::arange(count, at::kInt), 99, length, context);
        std::vector<int64_t> scored;
        for (int64_t i = 0; i < static_cast<int64_t>(rolling.windows().size()); ++i) {
          const auto [inputs, targets] = rolling.batch(i, 1);
          EXPECT_LE(inputs.size(1), length);
          for (int64_t s = 0; s < targets.size(1); ++s) {
            const auto target = targets[0][s].item<int64_t>();
            if (target == kUnscoredTarget) continue;
            scored.push_back(target);
            EXPECT_EQ(inputs[0][s].item<int64_t>(), target == 0 ? 99 : target - 1);
          }
        }
        std::vector<int64_t> all(count);
        for (int64_t i = 0; i < count; ++i) all[i] = i;
        ASSERT_EQ(scored, all) << length << " " << context;
      }
    }
  }
}

TEST(RollingWindows, AShortDocumentIsPaddedWithThePrefixInABatch) {
  const RollingWindows rolling(at::tensor({7, 8}, at::kInt), 1, 16);

  const auto [inputs, targets] = rolling.batch(0, 1);

  EXPECT_TRUE(inputs.equal(rows({{1, 7}})));
  EXPECT_TRUE(targets.equal(rows({{7, 8}})));
  EXPECT_TRUE(RollingWindows(at::empty({0}, at::kInt), 1, 16).windows().empty());
  EXPECT_THROW(RollingWindows(at::arange(4, at::kInt), 1, 4, 5), Error);
}

}  // namespace
}  // namespace qtk::text
