// What becomes of two neighbouring symbols: rank and result of their merge.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace qtk::text {

struct Merge {
  uint32_t rank;   // merges of lower rank come first
  int32_t merged;  // id of the result
};

/// Open addressing, because a lookup per pair of neighbours is the inner loop of BPE.
class MergeTable {
 public:
  explicit MergeTable(size_t expected = 0);
  /// A later merge of the same pair wins.
  void insert(int32_t left, int32_t right, Merge merge);
  /// Null if the pair does not merge.
  const Merge* find(int32_t left, int32_t right) const {
    for (size_t slot = hash(left, right) & mask_;; slot = (slot + 1) & mask_) {
      if (slots_[slot].left == left && slots_[slot].right == right) return &slots_[slot].merge;
      if (slots_[slot].left < 0) return nullptr;
    }
  }

 private:
  struct Slot {
    int32_t left = -1, right = -1;
    Merge merge{};
  };
  static size_t hash(int32_t left, int32_t right) {
    const uint64_t key = static_cast<uint64_t>(left) << 32 | static_cast<uint32_t>(right);
    return static_cast<size_t>(key * 0x9e3779b97f4a7c15u >> 32);
  }

  std::vector<Slot> slots_;
  size_t mask_;
};

}  // namespace qtk::text
