#include "train/sliced_reader.hpp"

#include <qtk/runtime/error.hpp>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace qtk::train {
namespace {

at::Tensor numbers(int64_t begin, int64_t end) { return at::arange(begin, end, at::kFloat); }

/// The first moment of `w` [3, 4], in slices that end at `ends`.
TrainState sliced(const std::vector<int64_t>& ends) {
  TrainState state;
  ScopedWriter out(state, "optimizer");
  int64_t begin = 0;
  for (const int64_t end : ends) {
    out.tensor(slice_name({"w", begin, end}) + "/first", numbers(begin, end));
    out.tensor(slice_name({"w", begin, end}) + "/second", -numbers(begin, end));
    begin = end;
  }
  out.tensor("w.more[0:12]/first", at::zeros({12}));
  return state;
}

TrainState whole() {
  TrainState state;
  ScopedWriter out(state, "optimizer");
  out.tensor("w/first", numbers(0, 12).view({3, 4}));
  return state;
}

at::Tensor read(const TrainState& state, const std::string& name) {
  return SlicedReader(state, "optimizer").tensor(name);
}

std::string refusal(const TrainState& state, const std::string& name) {
  try {
    read(state, name);
  } catch (const DataError& error) {
    return error.what();
  }
  return "";
}

TEST(SliceNameTest, IsReadAsItIsWritten) {
  SliceName slice;

  EXPECT_EQ(slice_name({"a.b[0]", 3, 40}), "a.b[0][3:40]");
  ASSERT_TRUE(parse_slice_name("a.b[0][3:40]", slice));
  EXPECT_EQ(slice.tensor, "a.b[0]");
  EXPECT_EQ(slice.begin, 3);
  EXPECT_EQ(slice.end, 40);
}

TEST(SliceNameTest, AnotherNameIsLeftAlone) {
  for (const char* name :
       {"w", "w[3]", "w[a:b]", "w[1:2", "w[1:]", "w[:2]", "w[1:2]x", "a:b]", ""}) {
    SliceName slice{"before", 1, 2};
    EXPECT_FALSE(parse_slice_name(name, slice)) << name;
    EXPECT_EQ(slice.tensor, "before") << name;
    EXPECT_EQ(slice.end, 2) << name;
  }
}

TEST(SlicedReaderTest, WhatIsThereByItsNameIsReadAsItIs) {
  EXPECT_TRUE(at::equal(read(whole(), "w/first"), numbers(0, 12).view({3, 4})));
  EXPECT_TRUE(at::equal(read(sliced({5, 12}), "w[5:12]/first"), numbers(5, 12)));
}

TEST(SlicedReaderTest, AWholeIsPutTogetherFromSlices) {
  EXPECT_TRUE(at::equal(read(sliced({2, 3, 9, 12}), "w/first"), numbers(0, 12)));
  EXPECT_TRUE(at::equal(read(sliced({2, 3, 9, 12}), "w/second"), -numbers(0, 12)));
  EXPECT_TRUE(at::equal(read(sliced({12}), "w/first"), numbers(0, 12)));
}

TEST(SlicedReaderTest, SlicesAreOrderedByNumberAndNotByName) {
  TrainState state;
  ScopedWriter out(state, "optimizer");
  for (const int64_t begin : {9, 10, 0}) {
    const int64_t end = begin == 0 ? 9 : begin + 1;
    out.tensor(slice_name({"w", begin, end}) + "/first", numbers(begin, end));
  }

  EXPECT_TRUE(at::equal(read(state, "w/first"), numbers(0, 11)));
}

TEST(SlicedReaderTest, ASliceIsCutOutOfTheWhole) {
  EXPECT_TRUE(at::equal(read(whole(), "w[3:9]/first"), numbers(3, 9)));
}

TEST(SlicedReaderTest, ASliceIsPutTogetherFromOtherSlices) {
  const TrainState state = sliced({4, 8, 12});
  for (const auto& [begin, end] : {std::pair<int64_t, int64_t>{0, 6}, {6, 12}, {5, 7}, {3, 10}})
    EXPECT_TRUE(
        at::equal(read(state, slice_name({"w", begin, end}) + "/first"), numbers(begin, end)))
        << begin << ":" << end;
}

TEST(SlicedReaderTest, WhatIsMissingIsSaidAsOfAnyOtherState) {
  TrainState gap = sliced({4, 8, 12});
  gap.tensors.erase("optimizer/w[4:8]/first");
  std::string usual;
  try {
    ScopedReader(gap, "optimizer").tensor("w/first");
  } catch (const DataError& error) {
    usual = error.what();
  }

  ASSERT_FALSE(usual.empty());
  EXPECT_EQ(refusal(gap, "w/first"), usual);
  for (const char* name : {"w[2:6]/first", "w[4:8]/first", "v/first", "w/third", "count"})
    EXPECT_NE(refusal(gap, name).find(name), std::string::npos) << name;
  EXPECT_EQ(refusal(gap, "w[8:12]/first"), "");
  EXPECT_EQ(refusal(gap, "w/second"), "");
}

TEST(SlicedReaderTest, NamesWithBracketsOfTheirOwnAreNoSlices) {
  TrainState state;
  ScopedWriter out(state, "optimizer");
  out.tensor("experts[a:b]/first", numbers(0, 3));
  out.tensor("heads[a:b][0:2]/first", numbers(0, 2));
  out.tensor("heads[a:b][2:5]/first", numbers(2, 5));

  EXPECT_TRUE(at::equal(read(state, "experts[a:b][1:3]/first"), numbers(1, 3)));
  EXPECT_TRUE(at::equal(read(state, "heads[a:b]/first"), numbers(0, 5)));
}

}  // namespace
}  // namespace qtk::train
