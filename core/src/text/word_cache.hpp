// Ids of the words met so far in one text: most words of a text repeat.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace qtk::text {

/// Bounded; belongs to one call of encode(), so threads share nothing.
class WordCache {
 public:
  WordCache();
  /// Empty if the word is not known.
  std::span<const int32_t> find(std::string_view word) const;
  /// Ignored for long words, for words without ids and when the cache is full. `word` is not known
  /// yet.
  void insert(std::string_view word, std::span<const int32_t> ids);

 private:
  struct Entry {
    uint64_t hash = 0;
    uint32_t word_begin = 0, ids_begin = 0;
    uint32_t word_size = 0, ids_size = 0;  // ids_size 0: free
  };
  size_t slot_of(std::string_view word, uint64_t hash) const;
  void grow();

  std::vector<Entry> entries_;
  std::string words_;
  std::vector<int32_t> ids_;
  size_t used_ = 0;
};

}  // namespace qtk::text
