#include "text/symbol_merging.hpp"

#include <qtk/runtime/check.hpp>

#include <algorithm>
#include <functional>
#include <limits>

namespace qtk::text {
namespace {

constexpr uint32_t kNone = std::numeric_limits<uint32_t>::max();

class Merging {
 public:
  Merging(std::vector<int32_t>& symbols, const MergeTable& merges)
      : symbols_(symbols), merges_(merges) {
    const auto n = static_cast<uint32_t>(symbols.size());
    links_.resize(n);
    for (uint32_t i = 0; i < n; ++i) {
      links_[i] = {i == 0 ? kNone : i - 1, i + 1 == n ? kNone : i + 1, kNone};
      if (i + 1 < n) rate(i);
    }
    std::make_heap(heap_.begin(), heap_.end(), std::greater<>());
    is_heap_ = true;
  }

  void run() {
    while (!heap_.empty()) {
      std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
      const uint64_t entry = heap_.back();
      heap_.pop_back();
      const auto position = static_cast<uint32_t>(entry);
      // An entry is stale if the pair at its position has changed since.
      if (links_[position].rank == static_cast<uint32_t>(entry >> 32)) merge_at(position);
    }
    size_t kept = 0;
    for (uint32_t i = 0; i != kNone; i = links_[i].next) symbols_[kept++] = symbols_[i];
    symbols_.resize(kept);
  }

 private:
  struct Link {
    uint32_t previous, next;
    uint32_t rank;  // of the pair that starts here; kNone if it does not merge
  };

  void rate(uint32_t left) {
    const Merge* merge = merges_.find(symbols_[left], symbols_[links_[left].next]);
    links_[left].rank = merge ? merge->rank : kNone;
    if (!merge) return;
    heap_.push_back(static_cast<uint64_t>(merge->rank) << 32 | left);
    if (is_heap_) std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
  }

  void merge_at(uint32_t left) {
    const uint32_t right = links_[left].next;
    symbols_[left] = merges_.find(symbols_[left], symbols_[right])->merged;
    links_[left].next = links_[right].next;
    links_[left].rank = kNone;
    links_[right].rank = kNone;
    if (links_[left].next != kNone) {
      links_[links_[left].next].previous = left;
      rate(left);
    }
    if (links_[left].previous != kNone) rate(links_[left].previous);
  }

  std::vector<int32_t>& symbols_;
  const MergeTable& merges_;
  std::vector<Link> links_;
  std::vector<uint64_t> heap_;  // rank in the upper half, position in the lower
  bool is_heap_ = false;
};

}  // namespace

void merge_symbols(std::vector<int32_t>& symbols, const MergeTable& merges) {
  QTK_CHECK(symbols.size() < kNone, "a word of ", symbols.size(), " symbols");
  if (symbols.size() > 1) Merging(symbols, merges).run();
}

}  // namespace qtk::text
