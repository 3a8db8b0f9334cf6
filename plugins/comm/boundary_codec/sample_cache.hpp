// What a link remembers of each training sample, bounded: the sample that was used longest ago is
// forgotten first. Sender and receiver see the same calls in the same order, so they forget alike.
#pragma once

#include <qtk/runtime/state.hpp>

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <list>
#include <unordered_map>
#include <utility>

namespace qtk::boundary {

class SampleCache {
 public:
  explicit SampleCache(int64_t capacity) : capacity_(capacity) {}

  /// Undefined if the sample is not known (any more).
  at::Tensor find(int64_t sample) const;
  /// The sample becomes the one used last. `kept` is owned by the cache from now on.
  void put(int64_t sample, at::Tensor kept);
  /// As if the sample had never been put.
  void forget(int64_t sample);
  int64_t size() const { return static_cast<int64_t>(order_.size()); }

  /// Names "samples" [n] int64, oldest first, and "kept" [n, ...].
  void save(StateWriter& out) const;
  /// @throws DataError if the state holds more samples than this cache may
  void load(StateReader& in);

 private:
  using Entry = std::pair<int64_t, at::Tensor>;

  int64_t capacity_;
  std::list<Entry> order_;  // oldest first
  std::unordered_map<int64_t, std::list<Entry>::iterator> by_sample_;
};

}  // namespace qtk::boundary
