#include "text/merge_table.hpp"

#include <bit>

namespace qtk::text {

MergeTable::MergeTable(size_t expected)
    : slots_(std::bit_ceil(2 * expected + 2)), mask_(slots_.size() - 1) {}

void MergeTable::insert(int32_t left, int32_t right, Merge merge) {
  size_t slot = hash(left, right) & mask_;
  while (slots_[slot].left >= 0 && (slots_[slot].left != left || slots_[slot].right != right))
    slot = (slot + 1) & mask_;
  slots_[slot] = {left, right, merge};
}

}  // namespace qtk::text
