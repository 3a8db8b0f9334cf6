#include "text/word_cache.hpp"

#include <functional>

namespace qtk::text {
namespace {

constexpr size_t kFirstEntries = 1 << 9;
constexpr size_t kMaxEntries = 1 << 18;
constexpr size_t kMaxWordBytes = 64;

uint64_t hash_of(std::string_view word) { return std::hash<std::string_view>()(word); }

}  // namespace

WordCache::WordCache() : entries_(kFirstEntries) {}

size_t WordCache::slot_of(std::string_view word, uint64_t hash) const {
  const size_t mask = entries_.size() - 1;
  size_t slot = hash & mask;
  while (entries_[slot].ids_size > 0) {
    const Entry& entry = entries_[slot];
    if (entry.hash == hash &&
        std::string_view(words_).substr(entry.word_begin, entry.word_size) == word)
      break;
    slot = (slot + 1) & mask;
  }
  return slot;
}

std::span<const int32_t> WordCache::find(std::string_view word) const {
  if (word.size() > kMaxWordBytes) return {};
  const Entry& entry = entries_[slot_of(word, hash_of(word))];
  return {ids_.data() + entry.ids_begin, entry.ids_size};
}

void WordCache::insert(std::string_view word, std::span<const int32_t> ids) {
  if (word.size() > kMaxWordBytes || ids.empty()) return;
  if (2 * used_ >= entries_.size()) {
    if (entries_.size() >= kMaxEntries) return;
    grow();
  }
  const uint64_t hash = hash_of(word);
  entries_[slot_of(word, hash)] = {
      hash, static_cast<uint32_t>(words_.size()), static_cast<uint32_t>(ids_.size()),
      static_cast<uint32_t>(word.size()), static_cast<uint32_t>(ids.size())};
  words_ += word;
  ids_.insert(ids_.end(), ids.begin(), ids.end());
  ++used_;
}

void WordCache::grow() {
  std::vector<Entry> old(2 * entries_.size());
  old.swap(entries_);
  const size_t mask = entries_.size() - 1;
  for (const Entry& entry : old) {
    if (entry.ids_size == 0) continue;
    size_t slot = entry.hash & mask;
    while (entries_[slot].ids_size > 0) slot = (slot + 1) & mask;
    entries_[slot] = entry;
  }
}

}  // namespace qtk::text
