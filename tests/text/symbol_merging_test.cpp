#include "text/symbol_merging.hpp"

#include <gtest/gtest.h>

#include <random>

namespace qtk::text {
namespace {

/// The definition: as long as a pair merges, merge the leftmost of those with the lowest rank.
std::vector<int32_t> merged_naively(std::vector<int32_t> symbols, const MergeTable& merges) {
  while (true) {
    const Merge* best = nullptr;
    size_t at = 0;
    for (size_t i = 0; i + 1 < symbols.size(); ++i) {
      const Merge* merge = merges.find(symbols[i], symbols[i + 1]);
      if (merge && (!best || merge->rank < best->rank)) {
        best = merge;
        at = i;
      }
    }
    if (!best) return symbols;
    symbols[at] = best->merged;
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
}

TEST(SymbolMerging, AgreesWithTheDefinitionOnRandomMerges) {
  std::mt19937 random(1);
  const auto below = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  for (int round = 0; round < 300; ++round) {
    MergeTable merges(40);
    int32_t ids = 4;
    for (uint32_t rank = 0; rank < 40; ++rank) merges.insert(below(ids), below(ids), {rank, ids++});
    for (int text = 0; text < 20; ++text) {
      std::vector<int32_t> symbols(below(30));
      for (int32_t& symbol : symbols) symbol = below(4);
      const auto expected = merged_naively(symbols, merges);

      merge_symbols(symbols, merges);

      ASSERT_EQ(symbols, expected);
    }
  }
}

TEST(SymbolMerging, AMillionSymbolsInOneWordAreNoTrouble) {
  MergeTable merges(2);
  merges.insert(0, 0, {0, 1});
  merges.insert(1, 1, {1, 2});
  std::vector<int32_t> symbols(1 << 20, 0);

  merge_symbols(symbols, merges);  // a quadratic algorithm would not return

  EXPECT_EQ(symbols, std::vector<int32_t>(1 << 18, 2));
}

TEST(MergeTable, TheLaterMergeOfAPairWins) {
  MergeTable merges(2);
  merges.insert(3, 4, {0, 5});
  merges.insert(3, 4, {1, 6});

  EXPECT_EQ(merges.find(3, 4)->merged, 6);
  EXPECT_EQ(merges.find(4, 3), nullptr);
}

}  // namespace
}  // namespace qtk::text
