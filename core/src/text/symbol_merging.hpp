// The merging of byte-pair encoding: the pair of neighbours with the lowest rank, leftmost first,
// until none is left.
#pragma once

#include "text/merge_table.hpp"

#include <cstdint>
#include <vector>

namespace qtk::text {

/// Merges `symbols` in place. O(n log n) for n symbols: a linked list of symbols and a heap of
/// pairs, so that a text taken as one word costs no more than its words would.
void merge_symbols(std::vector<int32_t>& symbols, const MergeTable& merges);

}  // namespace qtk::text
