#include "text/sentencepiece_merges.hpp"

#include "text/utf8.hpp"

#include <algorithm>
#include <tuple>
#include <unordered_map>

namespace qtk::text {
namespace {

struct ScoredMerge {
  double score;
  int left_length, right_length;  // in characters
  size_t left, right;             // indices of pieces
};

int characters(std::string_view text) {
  return static_cast<int>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

}  // namespace

MergeList merges_from_scores(const std::vector<std::string>& pieces,
                             const std::vector<double>& scores) {
  std::unordered_map<std::string_view, size_t> index;
  for (size_t i = 0; i < pieces.size(); ++i) index.emplace(pieces[i], i);
  std::vector<ScoredMerge> found;
  for (size_t i = 0; i < pieces.size(); ++i) {
    const std::string_view piece = pieces[i];
    const size_t first = found.size();
    const int length = characters(piece);
    int left_length = 0;
    for (size_t cut = 0; cut < piece.size(); ++left_length, cut += utf8_length(piece[cut])) {
      const auto left = index.find(piece.substr(0, cut));
      const auto right = index.find(piece.substr(cut));
      if (cut > 0 && left != index.end() && right != index.end())
        found.push_back(
            {scores[i], left_length, length - left_length, left->second, right->second});
    }
    std::sort(found.begin() + static_cast<std::ptrdiff_t>(first), found.end(),
              [](const auto& a, const auto& b) {
                return std::tie(a.left, a.right) < std::tie(b.left, b.right);
              });
  }
  std::stable_sort(found.begin(), found.end(), [](const ScoredMerge& a, const ScoredMerge& b) {
    return std::tie(a.score, a.left_length, a.right_length) >
           std::tie(b.score, b.left_length, b.right_length);
  });
  MergeList merges;
  merges.reserve(found.size());
  for (const ScoredMerge& merge : found)
    merges.emplace_back(pieces[merge.left], pieces[merge.right]);
  return merges;
}

std::vector<double> scores_from_merges(const std::vector<std::string>& pieces,
                                       const MergeList& merges) {
  std::unordered_map<std::string, double> score_of;
  for (const auto& [left, right] : merges)
    score_of.emplace(left + right, -static_cast<double>(score_of.size()));
  std::vector<double> scores;
  scores.reserve(pieces.size());
  double last = -static_cast<double>(score_of.size());
  for (const std::string& piece : pieces) {
    const auto score = score_of.find(piece);
    scores.push_back(score == score_of.end() ? last-- : score->second);
  }
  return scores;
}

}  // namespace qtk::text
